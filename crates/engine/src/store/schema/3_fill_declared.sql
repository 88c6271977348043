UPDATE sessions
SET run = json_extract(state, '$.telemetry.run.value'), instance = json_extract(state, '$.telemetry.instance.value')
WHERE run IS NOT json_extract(state, '$.telemetry.run.value')
   OR instance IS NOT json_extract(state, '$.telemetry.instance.value');
