// The client class of a guide to JWT authentication, for Watchword's API. The access token is in
// memory only. The refresh token is in a cookie that scripts can't read.

export type User = { id: string; email: string; name: string; roles: string[] }

/** The response to a sign-in. If the address must be verified first, it has only a message. */
type SignIn = { user?: User; accessToken?: string; message?: string }

export class AuthError extends Error {
  constructor(message: string, readonly status: number, readonly code?: string) {
    super(message)
  }

  static async of(response: Response): Promise<AuthError> {
    const { error, code } = await parseJSON(response)
    return new AuthError(error ?? `The server responded ${response.status}.`, response.status, code)
  }
}

export class AuthClient {
  user?: User
  #accessToken?: string
  #refreshing?: Promise<void>
  #last: Promise<unknown> = Promise.resolve()

  constructor(readonly server: string, readonly onChange: (user?: User) => void) {}

  /** Restores the session from the cookie when the page loads. Throws if the server can't be reached. */
  restore(): Promise<void> {
    return this.refresh().catch((error) => {
      if (!isRefused(error)) throw error // 401: no user is signed in
    })
  }

  register(email: string, password: string, name: string): Promise<string | undefined> {
    return this.#exclusive(async () => this.#update(await this.#post('register', { email, password, name })))
  }

  login(email: string, password: string): Promise<string | undefined> {
    return this.#exclusive(async () => this.#update(await this.#post('login', { email, password })))
  }

  logout(): Promise<string | undefined> {
    return this.#exclusive(async () => this.#update(await this.#post('logout')))
  }

  async logoutAll(): Promise<string | undefined> {
    const response = await this.fetch('/api/auth/logout-all', { method: 'POST' })
    if (!response.ok) throw await AuthError.of(response)
    return this.#exclusive(async () => this.#update(await response.json()))
  }

  /**
   * Sends a request with the access token. If the token has expired, it renews the token and repeats the
   * request once.
   */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const [token, userID] = [this.#accessToken, this.user?.id]
    const response = await this.#send(path, init)
    const isExpired = response.status === 401 && (await parseJSON(response.clone())).code === 'TOKEN_EXPIRED'
    if (!isExpired) return response // the caller handles other errors; the user stays signed in
    if (token === this.#accessToken) await this.refresh() // unless another request has renewed it
    if (init.body instanceof ReadableStream) return response // a sent stream can't be sent again
    if (userID !== this.user?.id) throw new AuthError('Another user has signed in. Try again.', 401)
    return this.#send(path, init) // the last try: a request is sent at most twice
  }

  /**
   * Runs one refresh at a time; all callers get its result. Tabs share the cookie, so two tabs can refresh at the
   * same moment. They need no lock, because the server repeats its response to the second tab within the grace
   * period.
   */
  refresh(): Promise<void> {
    return (this.#refreshing ??= this.#exclusive(() => this.#renew()).finally(() => (this.#refreshing = undefined)))
  }

  async #renew(): Promise<void> {
    try {
      this.#update(await this.#post('refresh'))
    } catch (error) {
      if (isRefused(error)) this.#update({}) // a 401 ends the session; other errors don't
      throw error // no network, 429 or 503: still signed in, and the next request tries again
    }
  }

  /**
   * Runs sign-ins, sign-outs and refreshes one after another. A late response to an older request therefore can't
   * undo the result of a newer one.
   */
  #exclusive<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#last.then(step)
    this.#last = done.catch(() => {})
    return done
  }

  #update({ user, accessToken, message }: SignIn): string | undefined {
    this.user = user
    this.#accessToken = accessToken
    this.onChange(user)
    return message
  }

  /** Without a body, the request has no Content-Type. */
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

/** Returns {} for a body that is not JSON, such as the error page of a proxy. */
async function parseJSON(response: Response): Promise<{ error?: string; code?: string; message?: string }> {
  return (await response.json().catch(() => undefined)) ?? {}
}
