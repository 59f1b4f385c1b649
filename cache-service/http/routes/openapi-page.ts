import { z } from 'zod'

// Only the parts of the document that the page shows.
const documentSchema = z.object({
  info: z.object({ title: z.string(), version: z.string(), description: z.string().optional() }),
  tags: z.array(z.object({ name: z.string(), description: z.string() })).optional(),
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        tags: z.array(z.string()).optional(),
        summary: z.string().optional(),
        description: z.string().optional(),
        parameters: z
          .array(
            z.object({
              name: z.string(),
              in: z.string(),
              required: z.boolean().optional(),
              description: z.string().optional(),
            }),
          )
          .optional(),
        requestBody: z
          .object({ content: z.record(z.string(), z.object({ schema: z.unknown() })) })
          .optional(),
        responses: z.record(
          z.string(),
          z.object({
            description: z.string().optional(),
            content: z.record(z.string(), z.object({ schema: z.unknown() })).optional(),
          }),
        ),
      }),
    ),
  ),
  components: z.object({ schemas: z.record(z.string(), z.unknown()).optional() }).optional(),
})

type Document = z.output<typeof documentSchema>
type Operation = Document['paths'][string][string]

/** The OpenAPI document as a web page without scripts. */
export function openApiPage(openApi: unknown): string {
  const { components, info, paths, tags = [] } = documentSchema.parse(openApi)
  const sections = new Map<string, string[]>()
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? 'other'
      sections.set(tag, [...(sections.get(tag) ?? []), operationHtml(method, path, operation)])
    }
  }
  const schemas = Object.entries(components?.schemas ?? {}).map(
    ([name, schema]) =>
      `<details><summary><code>${text(name)}</code></summary>${schemaHtml(schema)}</details>`,
  )
  const body = [...sections].map(([tag, parts]) => {
    const description = tags.find(({ name }) => name === tag)?.description
    const introduction = description === undefined ? '' : `<p>${text(description)}</p>\n`
    return `<h2>${text(tag)}</h2>\n${introduction}${parts.join('\n')}`
  })
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(info.title)}: API reference</title>
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<h1>${text(info.title)} ${text(info.version)}</h1>
<p>${text(info.description ?? '')} Machine-readable: <a href="/openapi.json">/openapi.json</a>.</p>
${body.join('\n')}
${schemas.length === 0 ? '' : `<h2>schemas</h2>\n${schemas.join('\n')}`}
</body>
</html>
`
}

function operationHtml(method: string, path: string, operation: Operation): string {
  const { description, parameters = [], requestBody, responses, summary = '' } = operation
  const rows = parameters.map(
    (parameter) =>
      `<tr><td><code>${text(parameter.name)}</code></td><td>${text(parameter.in)}</td><td>${text(parameter.description ?? '')}</td></tr>`,
  )
  const bodies = Object.entries(requestBody?.content ?? {}).map(
    ([type, { schema }]) => `<h4>Body: ${text(type)}</h4>${schemaHtml(schema)}`,
  )
  const replies = Object.entries(responses).map(([status, reply]) => {
    const contents = Object.entries(reply.content ?? {}).map(
      ([type, { schema }]) => `<p>${text(type)}</p>${schemaHtml(schema)}`,
    )
    return `<h4>${text(status)} ${text(reply.description ?? '')}</h4>${contents.join('')}`
  })
  return `<details>
<summary><b>${text(method.toUpperCase())}</b> <code>${text(path)}</code> ${text(summary)}</summary>
${description === undefined ? '' : `<p>${text(description)}</p>`}
${rows.length === 0 ? '' : `<table><tr><th>Parameter</th><th>In</th><th>Description</th></tr>${rows.join('')}</table>`}
${bodies.join('\n')}
${replies.join('\n')}
</details>`
}

function schemaHtml(schema: unknown): string {
  return `<pre>${text(JSON.stringify(schema, undefined, 2) ?? '')}</pre>`
}

/** Escapes text between tags. Not for attributes. */
function text(plain: string): string {
  return plain.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`)
}

export const OPENAPI_STYLE = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
details { border: 1px solid #8886; border-radius: 6px; padding: 0.5rem 1rem; margin: 0.5rem 0; }
summary { cursor: pointer; }
pre { overflow: auto; max-height: 24rem; padding: 0.5rem; background: #8881; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: 0.25rem 1rem 0.25rem 0; vertical-align: top; }
`
