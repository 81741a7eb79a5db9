local hs = {status = "Progressing", message = "Waiting for the conditions Synced and Ready"}
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
local synced, ready = false, false
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Synced" then
    synced = condition.status == "True"
    if condition.status == "False" then
      hs.status = "Degraded"
      hs.message = condition.message or condition.reason
      return hs
    end
  elseif condition.type == "Ready" then
    ready = condition.status == "True"
    if not ready then
      hs.message = condition.message or condition.reason
    end
  end
end
if synced and ready then
  hs.status = "Healthy"
  hs.message = "The claim is synced and ready"
end
return hs
