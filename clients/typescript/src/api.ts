// Requests and responses of /api/auth, as server/api_*.go defines them.

export interface User {
  id: string
  email: string
  emailVerified: boolean
  name: string
  roles: string[]
  /** The language of the user's mails, as BCP 47. Empty: unknown. */
  locale: string
  /** RFC 3339. */
  createdAt: string
}

/** The response to a sign-in and to a refresh. The client does not export it, because it holds tokens. */
export interface SignIn {
  user: User
  accessToken: string
  tokenType: "Bearer"
  /** Seconds. */
  expiresIn: number
  /** Only with delivery "body". */
  refreshToken?: string
  /** Only with delivery "body", and not in the response to a refresh. */
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
  /** false: the session ends when the browser closes, and expires sooner if unused. Default: true. */
  remember?: boolean
}

export interface Verification {
  /** The token in the link of the mail. */
  token: string
  /** Required if that account is not signed in here (PASSWORD_REQUIRED). It signs in. */
  password?: string
  /** As in Credentials. */
  remember?: boolean
}

export interface Invitation {
  /** The token in the link of the mail. */
  token: string
  password: string
  /** Default: the name that the operator chose. */
  name?: string
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
  /** The device's name, from the user agent at sign-in. */
  device: string
  /** The client IP of the last use. */
  address: string
  createdAt: string
  lastUsedAt: string
  /** When the session expires, if it is not used before. */
  expiresAt: string
  /** Whether this session sent the request. */
  current: boolean
}

export interface SessionsAnswer {
  sessions: DeviceSession[]
}
