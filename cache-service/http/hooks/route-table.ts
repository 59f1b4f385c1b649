import type { ApiServer } from '../api-server-types.ts'

/** Which methods a path has: the framework says 404 for a wrong one, and HTTP 405. */
export type RouteTable = { methodsOf(path: string): readonly string[] }

/** Knows every route that is added to the server after it. */
export function watchRoutes(server: ApiServer): RouteTable {
  const methodsByPattern = new Map<string, { matches: RegExp; methods: Set<string> }>()
  server.addHook('onRoute', ({ url, method }) => {
    const known = methodsByPattern.get(url) ?? { matches: patternOf(url), methods: new Set() }
    for (const name of [method].flat()) known.methods.add(name)
    methodsByPattern.set(url, known)
  })
  return {
    methodsOf(path) {
      const methods = [...methodsByPattern.values()]
        .filter(({ matches }) => matches.test(path))
        .flatMap((route) => [...route.methods])
      return [...new Set(methods)].sort()
    },
  }
}

/** `/api/devices/:id` and `/files/*`, as far as our own routes use them. */
function patternOf(url: string): RegExp {
  const source = url
    .split('/')
    .map((part) => {
      if (part.startsWith(':')) return '[^/]+'
      return part === '*' ? '.*' : part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    })
    .join('/')
  return new RegExp(`^${source}$`)
}
