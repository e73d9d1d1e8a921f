// Every request goes through `api`. It carries the access token, and if the server says that
// this is of no use any more, the page exchanges its cookie for a new one, and asks once more.
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
  withCredentials: true, // the browser keeps and sends the cookie `refreshTkn`, which no script can read
  timeout: 30_000,
}

export const api = axios.create(settings)

api.interceptors.request.use((config) => {
  config.headers.Authorization = bearer()
  return config
})

api.interceptors.response.use(null, async (error: AxiosError) => {
  const { config } = error
  if (!config || config.isRetry || !challengeOf(error)) throw error
  if (config.headers.Authorization === bearer()) await reauthenticate() // else another request has seen to it
  return api.request({ ...config, isRetry: true })
})

const ended = 'Your session has ended. Log in again.'
let running: Promise<void> | undefined

/** One at a time: all who ask meanwhile wait for the same answer. */
export function reauthenticate(): Promise<void> {
  return (running ??= renew().finally(() => (running = undefined)))
}

/** Plain axios, without the interceptor: a 401 here is the end, and not to be renewed. */
async function renew(): Promise<void> {
  const before = session()
  try {
    const { data } = await axios.post('/reauth', undefined, { ...settings, headers: { Authorization: bearer() } })
    if (session() === before) change({ status: 'loggedIn', accessToken: data.accessToken }) // or somebody has logged out meanwhile
  } catch (error) {
    const challenge = challengeOf(error)
    if (challenge && session() === before) change({ status: 'loggedOut', notice: challenge.includes('"no_rft"') ? '' : ended })
    throw error // no network, 429 or 503: still logged in, and the next request tries again
  }
}

/** What a 401 says is missing: `Bearer realm="apps", error="expired_access_token", …` */
function challengeOf(error: unknown): string | undefined {
  if (!isAxiosError(error) || error.response?.status !== 401) return undefined
  const challenge = String(error.response.headers['www-authenticate'] ?? '')
  return challenge.startsWith('Bearer ') ? challenge : undefined
}

function bearer(): string | undefined {
  const now = session()
  return now.status === 'loggedIn' ? `Bearer ${now.accessToken}` : undefined
}
