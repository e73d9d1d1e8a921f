// `api` sends every request with the access token. If the server rejects this token, the page
// gets a new token with the refresh cookie, and repeats the request once.
import axios, { isAxiosError, type AxiosError } from 'axios'
import { change, session } from './session'

declare module 'axios' {
  interface AxiosRequestConfig {
    isRetry?: boolean
  }
}

export const serverURL: string = import.meta.env.VITE_WATCHWORD_URL ?? 'http://localhost:8000'

const settings = {
  baseURL: `${serverURL}/api/users`,
  withCredentials: true, // sends the cookie `refreshTkn`, which scripts can't read
  timeout: 30_000,
}

export const api = axios.create(settings)

api.interceptors.request.use((config) => {
  config.headers.Authorization = bearer()
  return config
})

api.interceptors.response.use(null, async (error: AxiosError) => {
  const { config } = error
  if (!config || config.isRetry || !readChallenge(error)) throw error
  if (config.headers.Authorization === bearer()) await reauthenticate() // unless it was renewed already
  return api.request({ ...config, isRetry: true })
})

const ended = 'Your session has ended. Log in again.'
let running: Promise<void> | undefined

/** Runs one re-authentication at a time; all callers share its result. */
export function reauthenticate(): Promise<void> {
  return (running ??= renew().finally(() => (running = undefined)))
}

/** Uses axios without the interceptor, because a 401 of this request ends the session. */
async function renew(): Promise<void> {
  const before = session()
  try {
    const { data } = await axios.post('/reauth', undefined, { ...settings, headers: { Authorization: bearer() } })
    // If the user has logged out during the request, the response must not log the user in again.
    if (session() === before) change({ status: 'loggedIn', accessToken: data.accessToken })
  } catch (error) {
    const challenge = readChallenge(error)
    if (challenge && session() === before) {
      change({ status: 'loggedOut', notice: challenge.includes('"no_rft"') ? '' : ended })
    }
    throw error // no network, 429 or 503: still logged in, and the next request tries again
  }
}

/** Returns the challenge of a 401, such as `Bearer realm="apps", error="expired_access_token", …`. */
function readChallenge(error: unknown): string | undefined {
  if (!isAxiosError(error) || error.response?.status !== 401) return undefined
  const challenge = String(error.response.headers['www-authenticate'] ?? '')
  return challenge.startsWith('Bearer ') ? challenge : undefined
}

function bearer(): string | undefined {
  const now = session()
  return now.status === 'loggedIn' ? `Bearer ${now.accessToken}` : undefined
}
