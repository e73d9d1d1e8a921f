// The client of a guide to JWT authentication, for Watchword's API as it is. The access token is in
// memory only, the refresh token in a cookie that no script can read.

export type User = { id: string; email: string; name: string; roles: string[] }

/** What a sign-in answers. Who has to prove the address first gets a message alone. */
type SignIn = { user?: User; accessToken?: string; message?: string }

/** A refusal, in the words of the server. */
export class AuthError extends Error {
  constructor(message: string, readonly status: number, readonly code?: string) {
    super(message)
  }

  static async of(response: Response): Promise<AuthError> {
    const { error, code } = await bodyOf(response)
    return new AuthError(error ?? `The server answered ${response.status}.`, response.status, code)
  }
}

export class AuthClient {
  user?: User
  #accessToken?: string
  #refreshing?: Promise<void>
  #last: Promise<unknown> = Promise.resolve()

  constructor(readonly server: string, readonly onChange: (user?: User) => void) {}

  /** At the start of the page: the cookie brings the session back. Fails if the server can't say. */
  restore(): Promise<void> {
    return this.refresh().catch((error) => {
      if (!isRefused(error)) throw error // 401: nobody is signed in
    })
  }

  register(email: string, password: string, name: string): Promise<string | undefined> {
    return this.#alone(async () => this.#become(await this.#post('register', { email, password, name })))
  }

  login(email: string, password: string): Promise<string | undefined> {
    return this.#alone(async () => this.#become(await this.#post('login', { email, password })))
  }

  logout(): Promise<string | undefined> {
    return this.#alone(async () => this.#become(await this.#post('logout')))
  }

  async logoutAll(): Promise<string | undefined> {
    const response = await this.fetch('/api/auth/logout-all', { method: 'POST' })
    if (!response.ok) throw await AuthError.of(response)
    return this.#alone(async () => this.#become(await response.json()))
  }

  /** Sends a request with the access token; if that has expired, renews it and sends the request once more. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const [token, who] = [this.#accessToken, this.user?.id]
    const response = await this.#send(path, init)
    const isExpired = response.status === 401 && (await bodyOf(response.clone())).code === 'TOKEN_EXPIRED'
    if (!isExpired) return response // any other 401 is an answer, and signs nobody out
    if (token === this.#accessToken) await this.refresh() // else another request has seen to it
    if (init.body instanceof ReadableStream) return response // it is gone: only the caller can make another
    if (who !== this.user?.id) throw new AuthError('Whoever is signed in has changed meanwhile. Try again.', 401)
    return this.#send(path, init) // whatever it answers: nothing is sent a third time
  }

  /**
   * One at a time, and all who ask get its answer. Tabs share the cookie and may refresh at the same moment: the server
   * answers whoever comes second within its grace with the same new token, so they need no lock.
   */
  refresh(): Promise<void> {
    return (this.#refreshing ??= this.#alone(() => this.#renew()).finally(() => (this.#refreshing = undefined)))
  }

  async #renew(): Promise<void> {
    try {
      this.#become(await this.#post('refresh'))
    } catch (error) {
      if (isRefused(error)) this.#become({}) // the one way in which a session ends that nobody has signed out of
      throw error // no network, 429 or 503: still signed in, and the next request asks again
    }
  }

  /** Steps that change who is signed in go one after another: no late answer undoes a newer one. */
  #alone<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#last.then(step)
    this.#last = done.catch(() => {})
    return done
  }

  #become({ user, accessToken, message }: SignIn): string | undefined {
    this.user = user
    this.#accessToken = accessToken
    this.onChange(user)
    return message
  }

  /** Without a body there is no content type either. */
  async #post(step: string, body?: object): Promise<SignIn> {
    const json = body && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
    const init = { method: 'POST', credentials: 'include', signal: AbortSignal.timeout(30_000), ...json } as const
    const response = await fetch(`${this.server}/api/auth/${step}`, init)
    if (!response.ok) throw await AuthError.of(response)
    return response.json()
  }

  #send(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers)
    if (this.#accessToken) headers.set('Authorization', `Bearer ${this.#accessToken}`)
    return fetch(this.server + path, { ...init, headers, credentials: 'include' })
  }
}

const isRefused = (error: unknown): boolean => error instanceof AuthError && error.status === 401

/** What an answer says. A proxy on the way may answer without JSON. */
async function bodyOf(response: Response): Promise<{ error?: string; code?: string; message?: string }> {
  return (await response.json().catch(() => undefined)) ?? {}
}
