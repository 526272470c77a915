{{- /* Labels of a component: include "labels" (list $ "api") */ -}}
{{- define "labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* Fields of every pod. The user is the Dockerfile's. */ -}}
{{- define "pod" -}}
automountServiceAccountToken: false
# Without Kubernetes' variables for Services, whose names can begin like those of settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.pod }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Fields of every container: image, permissions, settings. More variables may follow. */ -}}
{{- define "container" -}}
image: {{ required "Set `image` to the image as it was pushed." .Values.image }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  readOnlyRootFilesystem: true
envFrom:
  - secretRef: {name: {{ .Values.settingsSecret }}}
env:
{{- range $name, $value := .Values.settings }}
  - name: {{ $name }}
    value: {{ kindIs "string" $value | ternary $value (toJson $value) | toJson }}
{{- end }}
{{- end }}

{{- /* Resources, including devices: include "resources" (list $ .Values.api) */ -}}
{{- define "resources" -}}
{{- $resources := (index . 1).resources -}}
requests: {{ toJson $resources.requests }}
limits: {{ merge (dict) (index . 0).Values.devices $resources.limits | toJson }}
{{- end }}

{{- /* The writable folders of the API and the workers. */ -}}
{{- define "mounts" -}}
- {name: files, mountPath: /app/files}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "volumes" -}}
- name: files
  persistentVolumeClaim:
    claimName: {{ .Values.files.existingClaim | default (printf "%s-files" .Release.Name) }}
- name: tmp
  emptyDir: {sizeLimit: 2Gi}
{{- end }}
