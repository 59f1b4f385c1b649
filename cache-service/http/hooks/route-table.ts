import type { ApiServer } from '../api-server-types.ts'

/** Which methods a path has: for a wrong method the framework responds with 404 instead of 405. */
export type RouteTable = { methodsOf(path: string): readonly string[] }

/** Records every route that is added to the server after this call. */
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

/** Matches a path. Knows of route patterns only what our own routes use: `/api/devices/:id` and `/files/*`. */
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
