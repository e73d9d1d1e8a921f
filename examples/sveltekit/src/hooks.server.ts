// The hook runs before each page, action and endpoint. It refreshes a stale token here, because cookies can't be set
// after the response has started. A load function can stream a promise to the page. Such a promise resolves only
// after the response has started, so it is too late for a refresh.
import type { Handle } from '@sveltejs/kit'
import { authFor } from '$lib/server/watchword'

export const handle: Handle = async ({ event, resolve }) => {
  const { cookies, request } = event
  event.locals.auth = authFor({
    getCookie: (name) => cookies.get(name),
    setCookie: (name, value, options) => cookies.set(name, value, options),
    userAgent: request.headers.get('user-agent'),
    address: event.getClientAddress(), // client IP, as ADDRESS_HEADER and XFF_DEPTH define it
  })
  try {
    await event.locals.auth.session()
  } catch {
    // Watchword does not respond. The user may still be signed in, so the cookies are not deleted.
    return new Response('The sign-in service does not respond. Try again in a moment.', {
      status: 503,
      headers: { 'Retry-After': '5', 'Cache-Control': 'no-store' },
    })
  }
  const response = await resolve(event)
  response.headers.set('Cache-Control', 'private, no-store')
  return response
}
