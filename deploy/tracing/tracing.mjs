// Loaded before the service: node --import /tracing/tracing.mjs (docs/tracing.md). Settings are the variables OTEL_…
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis'
import { defaultResource, detectResources, envDetector } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { register } from 'import-in-the-middle/register-hooks.mjs'

// The service is made of ES modules: without this hook, their imports are not instrumented.
register({ include: ['ioredis'] })

const provider = new NodeTracerProvider({
  resource: defaultResource().merge(detectResources({ detectors: [envDetector] })),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
})
provider.register()
registerInstrumentations({
  instrumentations: [
    // Prometheus and the probes would be most of the spans.
    new HttpInstrumentation({
      ignoreIncomingRequestHook: ({ url }) => /^\/(?:livez|readyz|metrics)/.test(url ?? ''),
    }),
    // Commands of the background (probes, leases, reports) belong to no request.
    new IORedisInstrumentation({ requireParentSpan: true }),
  ],
})

// The service ends the process itself, when its roles have stopped: until then, the last spans are sent.
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void provider.shutdown())
