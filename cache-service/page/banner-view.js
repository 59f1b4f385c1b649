import { html, nothing } from './vendor/lit-html/lit-html.js'
import { clockTime, count, span } from './time.js'

/** Whether changes appear by themselves. @param live 'live' or 'lost'; undefined: connecting for the first time */
export function connectionView(live) {
  const [grade, text] =
    live === 'live' ? ['good', 'Live'] : live === 'lost' ? ['bad', 'Reconnecting…'] : ['', 'Connecting…']
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
        <span aria-hidden="true">(${span((nowMs - sinceMs) / 1000)})</span>
      </p>
      ${details.map((detail) => html`<p class="detail">${detail}</p>`)}
      ${view === undefined ? nothing : html`<a href=${`#${view}`}>Details</a>`}
      ${others.length === 0 ? nothing : html`<a href="#overview">${count(others.length, 'more problem')}</a>`}
    </div>
  `
}
