{{/* The name of all objects in the release namespace. It is at most 53 characters long. */}}
{{- define "claimgate.name" -}}
{{ .Release.Name }}
{{- end }}

{{/* The name of objects outside of the release namespace. No other release in the cluster has it. */}}
{{- define "claimgate.clusterName" -}}
{{ .Release.Namespace }}:{{ .Release.Name }}
{{- end }}

{{- define "claimgate.selectorLabels" -}}
app.kubernetes.io/name: claimgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "claimgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "claimgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The Secret in which claimgate keeps its CA and serving certificate. */}}
{{- define "claimgate.selfManagedSecret" -}}
{{ include "claimgate.name" . }}-certificates
{{- end }}

{{/* The Secret with the serving certificate that the pod mounts. Empty if claimgate manages its own. */}}
{{- define "claimgate.mountedSecret" -}}
{{- if eq .Values.certificates.mode "secret" }}
{{- .Values.certificates.secretName }}
{{- else if eq .Values.certificates.mode "certManager" }}
{{- include "claimgate.name" . }}-tls
{{- end }}
{{- end }}

{{/* The port of the container. Private GKE clusters let the API server reach 10250; kubelet uses it on the node. */}}
{{- define "claimgate.port" -}}
{{ ternary 10260 10250 .Values.hostNetwork }}
{{- end }}

{{/* The names of the Secrets that claimgate reads and updates through the API, as a JSON list. */}}
{{- define "claimgate.ownSecrets" -}}
{{- $names := list }}
{{- if eq .Values.certificates.mode "selfManaged" }}
{{- $names = append $names (include "claimgate.selfManagedSecret" .) }}
{{- end }}
{{- range .Values.controlPlanes }}
{{- if .tokenSecret }}
{{- $names = append $names .tokenSecret }}
{{- end }}
{{- end }}
{{- $names | uniq | sortAlpha | toJson }}
{{- end }}

{{/* Fails if a value is missing, or if values contradict each other. */}}
{{- define "claimgate.validate" -}}
{{- if eq .Release.Namespace "kube-system" }}
{{- fail "the release namespace is kube-system; install claimgate in a namespace of its own: --namespace claimgate-system --create-namespace" }}
{{- end }}
{{- if not .Values.cluster }}
{{- fail "cluster is empty; set it to a name of this app cluster: --set cluster=team-a" }}
{{- end }}
{{- if not .Values.image.repository }}
{{- fail "image.repository is empty; there is no published image: build one with config/Containerfile, and set image.repository to where you pushed it" }}
{{- end }}
{{- if not .Values.controlPlanes }}
{{- fail "controlPlanes is empty; add one: controlPlanes.platform with server, tokenSecret and mapping" }}
{{- end }}
{{- if not .Values.apis }}
{{- fail "apis is empty; add one: {group: k8s.starter.org, controlPlane: platform}" }}
{{- end }}
{{- range $name, $controlPlane := .Values.controlPlanes }}
{{- include "claimgate.validateControlPlane" (dict "key" (printf "controlPlanes.%s" $name) "value" $controlPlane) }}
{{- end }}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" }}
{{- if hasKey $.Values.podLabels . }}
{{- fail (printf "podLabels contains %s, by which the Deployment selects its pods; remove it" .) }}
{{- end }}
{{- end }}
{{- if and (eq .Values.certificates.mode "secret") (not .Values.certificates.secretName) }}
{{- fail "certificates.mode is secret, but certificates.secretName is empty; set it to a Secret with tls.crt, tls.key and ca.crt" }}
{{- end }}
{{- if and .Values.certificates.injectCA (eq .Values.certificates.mode "selfManaged") }}
{{- fail "certificates.injectCA has no effect with certificates.mode selfManaged, because cert-manager does not have the CA; remove it, or set the mode to certManager or secret" }}
{{- end }}
{{- if and .Values.certificates.secretName (ne .Values.certificates.mode "secret") }}
{{- fail (printf "certificates.secretName has no effect with certificates.mode %s; remove it, or set the mode to secret" .Values.certificates.mode) }}
{{- end }}
{{- end }}

{{- define "claimgate.validateControlPlane" -}}
{{- $key := .key }}
{{- with .value }}
{{- range $file := list "kubeconfig" "tokenFile" "clientCertificate" "clientKey" }}
{{- if hasKey $.value $file }}
{{- fail (printf "%s.%s names a file, which the pod does not have; put the credentials into a Secret, and set tokenSecret or kubeconfigSecret" $key $file) }}
{{- end }}
{{- end }}
{{- $credentials := list }}
{{- range $credential := list "tokenSecret" "kubeconfigSecret" "serviceAccountToken" }}
{{- if hasKey $.value $credential }}
{{- $credentials = append $credentials $credential }}
{{- end }}
{{- end }}
{{- if gt (len $credentials) 1 }}
{{- fail (printf "%s has both %s; remove one of them" $key (join " and " $credentials)) }}
{{- end }}
{{- if not $credentials }}
{{- fail (printf "%s has no credentials; set tokenSecret to the name of a Secret with the key token, or set kubeconfigSecret or serviceAccountToken" $key) }}
{{- end }}
{{- if and (not .kubeconfigSecret) (not .server) }}
{{- fail (printf "%s.server is empty; set it to the URL of the control plane: https://platform.example.org:6443" $key) }}
{{- end }}
{{- if and .kubeconfigSecret (or .server .certificateAuthority) }}
{{- fail (printf "%s has kubeconfigSecret, so the kubeconfig contains the address and the CA; remove server and certificateAuthority" $key) }}
{{- end }}
{{- if not .mapping }}
{{- fail (printf "%s.mapping is empty; set it, for example to {namespace: team-a, names: readable}" $key) }}
{{- end }}
{{- end }}
{{- end }}
