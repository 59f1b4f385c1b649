/** The views that the navigation links to, in its order. */
export const VIEWS = [
  { name: 'overview', title: 'Overview' },
  { name: 'devices', title: 'Devices' },
  { name: 'changes', title: 'Changes' },
  { name: 'workers', title: 'Workers' },
  { name: 'dead-letters', title: 'Dead letters' },
  { name: 'redis', title: 'Redis' },
  { name: 'state', title: 'State' },
]

const DEVICE = 'device='

/**
 * What the fragment of the address shows: `#view`, `#view?query`, or `#device=id`. Any other fragment shows the overview,
 * and `unknown` holds it.
 *
 * @returns `{ view, query, id, unknown }`
 */
export function parseRoute(hash) {
  const text = hash.replace(/^#/, '')
  if (text.startsWith(DEVICE) && text !== DEVICE)
    return { view: 'device', id: decode(text.slice(DEVICE.length)) }
  const [, name, query = ''] = /^([^?]*)(?:\?(.*))?$/s.exec(text)
  if (VIEWS.some((view) => view.name === name)) return { view: name, query }
  return text === '' ? { view: 'overview', query } : { view: 'overview', query: '', unknown: decode(text) }
}

export function deviceLink(id) {
  return `#${DEVICE}${encodeURIComponent(id)}`
}

/** People type addresses and cut them off: what is not a valid escape, such as the % of `100%`, stands for itself. */
function decode(text) {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURIComponent(escapes)
    } catch {
      return escapes
    }
  })
}
