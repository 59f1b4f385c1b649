/** @returns the status and the body of the response, which must be JSON. */
export async function sendJson(method: string, url: string, body?: unknown) {
  const response = await fetch(url, {
    method,
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  })
  return { status: response.status, body: JSON.parse(await response.text()) }
}
