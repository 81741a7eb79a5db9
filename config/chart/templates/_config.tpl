{{/* The configuration of the daemon, as YAML. File names are relative to /etc/claimgate. */}}
{{- define "claimgate.config" -}}
{{- $listen := dict "address" (printf "[::]:%s" (include "claimgate.port" .)) }}
{{- if include "claimgate.mountedSecret" . }}
{{- $listen = merge $listen (dict "certificate" "tls/tls.crt" "key" "tls/tls.key" "certificateAuthority" "tls/ca.crt") }}
{{- else }}
{{- $listen = merge $listen (dict "selfManaged" (dict "secret" (include "claimgate.selfManagedSecret" .))) }}
{{- end }}
{{- $requestHeader := dict "fromCluster" true }}
{{- if .Values.frontProxyCA }}
{{- $requestHeader = dict "clientCa" "front-proxy-ca.crt" }}
{{- end }}
{{- $controlPlanes := dict }}
{{- range $name, $values := .Values.controlPlanes }}
{{- $controlPlane := omit $values "certificateAuthority" "kubeconfigSecret" "serviceAccountToken" }}
{{- if $values.certificateAuthority }}
{{- $controlPlane = merge (dict "certificateAuthority" (include "claimgate.authorityFile" $name)) $controlPlane }}
{{- end }}
{{- if $values.kubeconfigSecret }}
{{- $controlPlane = merge (dict "kubeconfig" (include "claimgate.kubeconfigFile" $name)) $controlPlane }}
{{- end }}
{{- if $values.serviceAccountToken }}
{{- $controlPlane = merge (dict "tokenFile" (include "claimgate.tokenFile" $name)) $controlPlane }}
{{- end }}
{{- $controlPlanes = set $controlPlanes $name $controlPlane }}
{{- end }}
{{- $service := dict "namespace" .Release.Namespace "name" (include "claimgate.name" .) "port" (int .Values.service.port) }}
{{- $register := dict "service" $service "clusterRole" (include "claimgate.clusterName" .) }}
{{- if .Values.certificates.injectCA }}
{{- $kind := ternary "certificate" "secret" (eq .Values.certificates.mode "certManager") }}
{{- $register = set $register "caInjection" (dict $kind (include "claimgate.mountedSecret" .)) }}
{{- end }}
{{- $config := dict
  "cluster" .Values.cluster
  "listen" $listen
  "authentication" (dict "requestHeader" $requestHeader)
  "controlPlanes" $controlPlanes
  "apis" .Values.apis
  "register" $register
  "admin" (dict "address" "[::]:9090")
  "shutdown" (dict "delay" "5s" "drain" "30s")
}}
{{- mergeOverwrite $config (deepCopy .Values.config) | toYaml }}
{{- end }}

{{- define "claimgate.authorityFile" -}}
control-plane-{{ . }}-ca.crt
{{- end }}

{{- define "claimgate.tokenFile" -}}
control-plane-{{ . }}-token
{{- end }}

{{- define "claimgate.kubeconfigFile" -}}
control-planes/{{ . }}.kubeconfig
{{- end }}

{{/* The data of the ConfigMap: the configuration and the CAs. */}}
{{- define "claimgate.configData" -}}
claimgate.yaml: |
  {{- include "claimgate.config" . | nindent 2 }}
{{- range $name, $values := .Values.controlPlanes }}
{{- with $values.certificateAuthority }}
{{ include "claimgate.authorityFile" $name }}: |
  {{- trim . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .Values.frontProxyCA }}
front-proxy-ca.crt: |
  {{- trim . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Converts a duration such as 1m30s to whole seconds, rounded up. */}}
{{- define "claimgate.seconds" -}}
{{- $units := dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1 }}
{{- $milliseconds := 0 }}
{{- range regexFindAll "[0-9]+ *(ms|s|m|h)" . -1 }}
{{- $milliseconds = add $milliseconds (mul (regexFind "[0-9]+" . | int64) (get $units (regexFind "[a-z]+" .))) }}
{{- end }}
{{- div (add $milliseconds 999) 1000 }}
{{- end }}

{{/* How long the pod may take to end: the delay, the drain, and 10 s for the rest. */}}
{{- define "claimgate.gracePeriod" -}}
{{- $shutdown := (include "claimgate.config" . | fromYaml).shutdown }}
{{- add 10 (include "claimgate.seconds" $shutdown.delay) (include "claimgate.seconds" $shutdown.drain) }}
{{- end }}
