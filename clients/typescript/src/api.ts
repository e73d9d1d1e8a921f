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

/** The response to a sign-in and to a refresh. The client does not export it, because it contains tokens. */
export interface SignIn {
  user: User
  accessToken: string
  tokenType: "Bearer"
  /** Seconds. */
  expiresIn: number
  /** Only if the server returns tokens in bodies (delivery "body"). */
  refreshToken?: string
  /** Only with delivery "body". A response to a refresh does not contain it. */
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

/** How to continue a sign-in that needs a second factor: the `challenge` of a WatchwordError. */
export interface Challenge {
  /** The kinds of proof that the server accepts: "totp", "passkey", "recovery". */
  methods: string[]
  /** Seconds until the sign-in has to start again. */
  expiresIn: number
  /** For `completeSignIn` of @watchword/client/factors, if the account has a passkey. */
  passkey?: { publicKey: object }
  /** Seconds for which `rememberDevice` skips the factor in this browser. Absent: the server remembers no browsers. */
  rememberFor?: number
}

/** One proof of a second factor. */
export type FactorProof =
  /** The six digits of an authenticator app. */
  | { totp: string }
  | { recoveryCode: string }
  /** The AuthenticationResponseJSON of WebAuthn. The functions of `createPasskeys` send it. */
  | { passkey: object }

/** The proof that completes a sign-in. */
export type FactorLogin = FactorProof & {
  /** Skips the second factor at later sign-ins in this browser, for the `rememberFor` seconds of the challenge. */
  rememberDevice?: boolean
}

export interface Factor {
  id: string
  /** "totp" or "passkey". */
  kind: string
  name: string
  createdAt: string
  /** Absent if the factor was never used to sign in. */
  lastUsedAt?: string
  /** Only for a passkey: whether the passkey was backed up at its last use. */
  backedUp?: boolean
}

export interface FactorsAnswer {
  factors: Factor[]
  recoveryCodes: { left: number; createdAt?: string }
  /** Whether the operator requires a factor. If so, the last factor can't be removed (LAST_WAY_IN). */
  required: boolean
  /** The account's passkeys. `list` passes them to the browser (see signal.ts). Absent: the server has no passkeys. */
  signal?: { rpId: string; userId: string; allAcceptedCredentialIds: string[] }
}

/** A browser that skips the second factor. */
export interface RememberedDevice {
  id: string
  /** Browser and system. */
  name: string
  createdAt: string
  /** Absent if the browser has not skipped the factor yet. */
  lastUsedAt?: string
  expiresAt: string
}

export interface RememberedDevicesAnswer {
  /** Newest first. */
  devices: RememberedDevice[]
}

/** The secret of an authenticator app. The server shows it once. */
export interface TOTPEnrolment {
  id: string
  /** The secret as text, for users who type it into the app. */
  secret: string
  /** The otpauth URI in the QR code. On a phone it opens the app. */
  uri: string
  /** The QR code as an inline SVG, without styles or scripts. */
  qr: string
}

export interface FactorAnswer {
  factor: Factor
  /** New recovery codes, if the account had no codes. The server shows them once. */
  recoveryCodes?: string[]
}

export interface RecoveryCodesAnswer {
  /** The new recovery codes. The server shows them once. */
  codes: string[]
}

export interface Verification {
  /** The token in the link of the mail. */
  token: string
  /**
   * Required if this browser is not signed in as the user who received the mail (PASSWORD_REQUIRED). A correct
   * password also signs in.
   */
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

/** An external provider, such as Google. */
export interface Provider {
  id: string
  name: string
  /** "google", "github", "microsoft", "apple" or "oidc": for the picture on the button. */
  kind: string
  url: string
}

export interface ProvidersAnswer {
  /** In the order of the configuration. */
  providers: Provider[]
}

/** An account at a provider. */
export interface Identity {
  id: string
  /** The id of the provider. */
  provider: string
  /** The email address at the provider, at the last sign-in with this account. */
  email?: string
  linkedAt: string
  /** Absent if the account at the provider was never used to sign in. */
  lastUsedAt?: string
}

export interface IdentitiesAnswer {
  identities: Identity[]
}

export interface Message {
  message: string
}

export interface UserAnswer {
  user: User
}

/** The public metadata of an account. The application decides its members. */
export type Metadata = Record<string, unknown>

export interface MeAnswer<M extends object = Metadata> extends UserAnswer {
  /** Only operators and administrators change it. {} if the account has no metadata. */
  metadata: M
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
  /** When the session expires if it is not used before. */
  expiresAt: string
  /** Whether this session sent the request. */
  current: boolean
}

export interface SessionsAnswer {
  sessions: DeviceSession[]
}
