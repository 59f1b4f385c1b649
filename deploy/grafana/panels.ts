/** The parts of Grafana's dashboard model that our dashboards use. */
export type Unit = 'short' | 's' | 'bytes' | 'ops' | 'percentunit' | 'dateTimeFromNow' | 'bool'

export type Query = { readonly expr: string; readonly legend: string }

export type Panel = {
  readonly title: string
  readonly description: string
  readonly type: 'timeseries' | 'stat'
  readonly unit: Unit
  readonly queries: readonly Query[]
  /** Of 24 columns. */
  readonly width: number
  /** Above it, a value is shown in red. */
  readonly limit?: number
  /** Areas on top of each other, whose height is the sum. */
  readonly isStacked?: boolean
}

export type Variable = { readonly name: string; readonly label: string; readonly query: string }

export type DashboardParts = {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly variables: readonly Variable[]
  readonly panels: readonly Panel[]
}

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' }
const HEIGHT = 8
const STAT_HEIGHT = 4

export function renderDashboard({ description, panels, title, uid, variables }: DashboardParts): string {
  const dashboard = {
    uid,
    title,
    description,
    tags: ['cache-service'],
    schemaVersion: 39,
    version: 1,
    editable: false,
    refresh: '30s',
    timezone: 'browser',
    time: { from: 'now-3h', to: 'now' },
    // The other dashboards, at the same time and for the same instances.
    links: [
      {
        type: 'dashboards',
        tags: ['cache-service'],
        title: 'Device cache',
        asDropdown: true,
        includeVars: true,
        keepTime: true,
      },
    ],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        ...variables.map(({ label, name, query }) => ({
          name,
          label,
          type: 'query',
          datasource: DATASOURCE,
          query: { query, refId: name },
          refresh: 2, // when the time range changes
          multi: true,
          includeAll: true,
          allValue: '.*',
          current: { text: ['All'], value: ['$__all'] },
          sort: 1,
        })),
      ],
    },
    annotations: {
      list: [
        {
          name: 'Alerts',
          datasource: DATASOURCE,
          enable: true,
          iconColor: 'red',
          expr: 'ALERTS{alertstate="firing", alertname=~"CacheService.*"}',
          titleFormat: '{{alertname}}',
        },
      ],
    },
    panels: placed(panels).map(({ panel, position }, index) => renderPanel(panel, position, index + 1)),
  }
  return `${JSON.stringify(dashboard, null, 2)}\n`
}

type Position = { readonly h: number; readonly w: number; readonly x: number; readonly y: number }

/** From left to right, and into a new row where the next panel does not fit. */
function placed(panels: readonly Panel[]): { panel: Panel; position: Position }[] {
  let [x, y, rowHeight] = [0, 0, 0]
  return panels.map((panel) => {
    const h = panel.type === 'stat' ? STAT_HEIGHT : HEIGHT
    if (x + panel.width > 24) {
      y += rowHeight
      x = rowHeight = 0
    }
    const position = { h, w: panel.width, x, y }
    x += panel.width
    rowHeight = Math.max(rowHeight, h)
    return { panel, position }
  })
}

function renderPanel(panel: Panel, gridPos: Position, id: number) {
  const red = panel.limit === undefined ? [] : [{ color: 'red', value: panel.limit }]
  return {
    id,
    type: panel.type,
    title: panel.title,
    description: panel.description,
    gridPos,
    datasource: DATASOURCE,
    targets: panel.queries.map(({ expr, legend }, index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
    })),
    fieldConfig: {
      defaults: {
        unit: panel.unit,
        min: panel.unit === 'dateTimeFromNow' ? undefined : 0,
        thresholds: { mode: 'absolute', steps: [{ color: 'green', value: null }, ...red] },
        custom:
          panel.type === 'timeseries'
            ? {
                fillOpacity: panel.isStacked ? 40 : 10,
                stacking: { mode: panel.isStacked ? 'normal' : 'none' },
                thresholdsStyle: { mode: panel.limit === undefined ? 'off' : 'line' },
              }
            : undefined,
      },
      overrides: [],
    },
    options:
      panel.type === 'stat'
        ? {
            colorMode: panel.limit === undefined ? 'none' : 'value',
            reduceOptions: { calcs: ['lastNotNull'] },
          }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  }
}
