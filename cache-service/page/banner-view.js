import { html, nothing } from './vendor/lit-html/lit-html.js'
import { clockTime, count, span } from './time.js'

/** Whether changes appear by themselves. The API has none while it has no Redis. */
export function connectionView({ live, redis }) {
  const [grade, text] =
    live === undefined
      ? ['', 'Connecting…']
      : live === 'lost'
        ? ['bad', 'Reconnecting…']
        : redis === 'disconnected'
          ? ['bad', 'Not live']
          : ['good', 'Live']
  return html`<span class="connection" data-grade=${grade}
    ><span class="sign" aria-hidden="true"></span>${text}</span
  >`
}

/** One banner, for the most severe condition. The growing age is not announced to screen readers. */
export function bannerView({ conditions, openedMs }, nowMs) {
  const [first, ...others] = conditions
  if (first === undefined) return nothing
  const { details, sinceMs, text, view } = first
  const isOlder = sinceMs <= openedMs + 1_000
  const since = `Since ${isOlder ? 'at least ' : ''}${clockTime(sinceMs, nowMs)}`
  return html`
    <div class="banner">
      <p>
        <strong>${text}</strong> ${since}
        <span class="nowrap" aria-hidden="true">(${span((nowMs - sinceMs) / 1000)})</span>
      </p>
      ${details.map((detail) => html`<p class="detail">${detail}</p>`)}
      ${view === undefined ? nothing : html`<a href=${`#${view}`}>Details</a>`}
      ${others.length === 0 ? nothing : html`<a href="#overview">${count(others.length, 'more problem')}</a>`}
    </div>
  `
}
