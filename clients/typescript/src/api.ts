// The bodies and answers of /api/auth, as server/api_*.go has them.

export interface User {
  id: string
  email: string
  emailVerified: boolean
  name: string
  roles: string[]
  /** RFC 3339. */
  createdAt: string
}

/** What a sign-in and a refresh answer. It stays inside: tokens are not handed out. */
export interface SignIn {
  user: User
  accessToken: string
  tokenType: "Bearer"
  /** Seconds. */
  expiresIn: number
  /** Only with delivery "body". */
  refreshToken?: string
  /** Only with delivery "body", and not of a refresh. */
  deviceToken?: string
}

export interface Registration {
  email: string
  password: string
  name?: string
}

export interface Credentials {
  email: string
  password: string
  /** false: the session ends with the browser, and sooner if unused. Default: true. */
  remember?: boolean
}

export interface Verification {
  /** From the link in the mail. */
  token: string
  /** Of the sign-up: needed where nobody is signed in to that account (PASSWORD_REQUIRED). It signs in. */
  password?: string
  /** As in Credentials. */
  remember?: boolean
}

export interface Message {
  message: string
}

export interface UserAnswer {
  user: User
}

export interface LogoutAllAnswer extends Message {
  /** How many sessions ended. */
  ended: number
}

export interface DeviceSession {
  id: string
  /** A name from the user agent at sign-in. */
  device: string
  /** Where it was used last. */
  address: string
  createdAt: string
  lastUsedAt: string
  /** If it is not used before. */
  expiresAt: string
  /** The session that asks. */
  current: boolean
}

export interface SessionsAnswer {
  sessions: DeviceSession[]
}
