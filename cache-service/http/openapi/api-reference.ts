import swaggerUi from '@fastify/swagger-ui'
import type { ApiServer } from '../api-server-types.ts'
import { pageSecurityPolicy } from '../hooks/security-headers.ts'

const PATH = '/docs'

/** The icons of Swagger UI are data: images of its style sheet. */
const CONTENT_SECURITY_POLICY = pageSecurityPolicy("'self' data:")

/** What the page lacks: on a phone it would be scaled down, and it is dark only with the top bar. */
const DISPLAY_SCRIPT = `
const viewport = document.createElement('meta')
viewport.name = 'viewport'
viewport.content = 'width=device-width, initial-scale=1'
document.head.append(viewport)

const dark = matchMedia('(prefers-color-scheme: dark)')
const adapt = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', adapt)
adapt()
`

/** On a phone, only the table of responses scrolls sideways; in a dark browser, the headers of a response are legible. */
const DISPLAY_STYLE = `
@media (max-width: 40rem) { .swagger-ui .responses-inner { overflow-x: auto; } }
.dark-mode .swagger-ui .headers .header-col { color: inherit; }
`

/**
 * `GET /openapi.json`, and `GET /docs`: the same document as a page for people (Swagger UI). All URLs of the page are
 * relative, so that it also works below a path prefix that a reverse proxy removes.
 */
export async function registerApiReference(server: ApiServer, document: () => object): Promise<void> {
  let json: string | undefined
  server.get('/openapi.json', { config: { scope: 'public' }, schema: { hide: true } }, async (_, reply) => {
    json ??= JSON.stringify(document())
    return await reply.type('application/json; charset=utf-8').send(json)
  })

  await server.register(async (scope: ApiServer) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, scope: 'public' }
    })
    await scope.register(swaggerUi, {
      routePrefix: PATH,
      staticCSP: CONTENT_SECURITY_POLICY,
      theme: {
        title: 'iot-device-cache: API reference',
        css: [{ filename: 'display.css', content: DISPLAY_STYLE }],
        js: [{ filename: 'display.js', content: DISPLAY_SCRIPT }],
      },
      // Without the top bar, which would load any URL that is typed into it.
      uiConfig: { layout: 'BaseLayout', displayRequestDuration: true, defaultModelsExpandDepth: 0 },
      uiHooks: {
        // Relative URLs of the page need the slash. A relative redirect keeps the prefix that the proxy has removed.
        onRequest(request, reply, next) {
          const [path] = request.url.split('?')
          if (path === PATH) reply.redirect(`.${PATH}/`)
          else next()
        },
      },
      // The page reads its own copy, in which a relative server URL has another base than in /openapi.json.
      transformSpecification: () => ({ ...document(), servers: [{ url: '..' }] }),
      transformSpecificationClone: false,
    })
  })
}
