/** What the devices view shows, as its part of the address says it: `#devices?type=Temperature&sort=-last_updated`. */

export const PAGE_SIZES = [25, 50, 100]
const SORT_FIELDS = ['device_id', 'datatype_name', 'datatype_unit', 'last_updated']
const MAX_COLUMNS = 20

/** @returns `{ contains, type, unit, silentFor, sort, limit, cursor, columns }`; undefined: no such condition */
export function parseDeviceQuery(text) {
  const given = new URLSearchParams(text)
  const value = (name) => given.get(name) ?? undefined
  const limit = Number(given.get('limit'))
  const sort = given.get('sort') ?? ''
  const silentFor = given.get('silent_for') ?? ''
  return {
    contains: given.get('contains') ?? '',
    type: value('type'),
    unit: value('unit'),
    silentFor: /^\d{1,9}$/.test(silentFor) ? Number(silentFor) : undefined,
    sort: SORT_FIELDS.includes(sort.replace(/^-/, '')) ? sort : 'device_id',
    limit: PAGE_SIZES.includes(limit) ? limit : PAGE_SIZES[0],
    cursor: value('cursor'),
    columns: [...new Set(given.getAll('column'))].slice(0, MAX_COLUMNS),
  }
}

/** The conditions and the order, as the API expects them. */
export function conditionsOf({ contains, silentFor, sort, type, unit }) {
  const given = { contains: contains === '' ? undefined : contains, type, unit, silent_for: silentFor, sort }
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) if (value !== undefined) params.set(name, String(value))
  return params
}

/** The inverse of parseDeviceQuery. */
export function deviceQueryText(query) {
  const params = conditionsOf(query)
  if (query.sort === 'device_id') params.delete('sort')
  if (query.limit !== PAGE_SIZES[0]) params.set('limit', String(query.limit))
  for (const column of query.columns) params.append('column', column)
  if (query.cursor !== undefined) params.set('cursor', query.cursor)
  return params.toString()
}

/** Ascending first; the newest first, where it is a time. A further click reverses the order. */
export function sortedBy(field, sort) {
  if (sort.replace(/^-/, '') === field) return sort === field ? `-${field}` : field
  return field === 'last_updated' ? `-${field}` : field
}

export function hasConditions({ contains, silentFor, type, unit }) {
  return contains !== '' || [silentFor, type, unit].some((condition) => condition !== undefined)
}
