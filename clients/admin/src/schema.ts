// Code generated from /openapi.json by cmd/watchword/admin_schema_test.go. DO NOT EDIT.

/** Revoke a service key. */
export const deleteAdminServiceKeysById = { method: "DELETE", path: "/api/admin/service-keys/{id}" } as const

/** Delete an account. */
export const deleteAdminUsersById = { method: "DELETE", path: "/api/admin/users/{id}" } as const

/** End all sessions of an account. */
export const deleteAdminUsersByIdSessions = { method: "DELETE", path: "/api/admin/users/{id}/sessions" } as const

/** End one session of an account. */
export const deleteAdminUsersByIdSessionsBySid = {
  method: "DELETE",
  path: "/api/admin/users/{id}/sessions/{sid}",
} as const

/** Find security events. */
export const getAdminEvents = { method: "GET", path: "/api/admin/events" } as const

export interface AdminEventsQuery {
  /** The id of an account, also of a deleted one. */
  user?: string | undefined
  /** A kind, such as login_failed. */
  kind?: string | undefined
  /** The network address of the client. */
  address?: string | undefined
  /** Inclusive, in RFC 3339. */
  from?: string | undefined
  /** Exclusive, in RFC 3339. */
  to?: string | undefined
  /** next of the page before. */
  after?: string | undefined
  /** 1 to 200. Default: 50. */
  limit?: number | undefined
}

/** List signing and refresh keys. */
export const getAdminKeys = { method: "GET", path: "/api/admin/keys" } as const

/** List waiting and abandoned mails. */
export const getAdminMails = { method: "GET", path: "/api/admin/mails" } as const

export interface AdminMailsQuery {
  /** The id of an account. */
  user?: string | undefined
  /** next of the page before. */
  after?: string | undefined
  /** 1 to 200. Default: 50. */
  limit?: number | undefined
}

/** List service keys. */
export const getAdminServiceKeys = { method: "GET", path: "/api/admin/service-keys" } as const

export interface AdminServiceKeysQuery {
  /** next of the page before. */
  after?: string | undefined
  /** 1 to 200. Default: 50. */
  limit?: number | undefined
}

/** Read figures for an overview. */
export const getAdminStats = { method: "GET", path: "/api/admin/stats" } as const

/** Find accounts. */
export const getAdminUsers = { method: "GET", path: "/api/admin/users" } as const

export interface AdminUsersQuery {
  /** A prefix of the address, in any case. */
  email?: string | undefined
  /** The id of the account. */
  id?: string | undefined
  /** A role that the account holds. */
  role?: string | undefined
  state?: "active" | "unverified" | "disabled" | undefined
  /** The kind of a second factor. */
  factor?: "none" | "any" | "totp" | "passkey" | undefined
  /** next of the page before. */
  after?: string | undefined
  /** 1 to 200. Default: 50. */
  limit?: number | undefined
}

/** Read an account with its sessions and events. */
export const getAdminUsersById = { method: "GET", path: "/api/admin/users/{id}" } as const

/** Say why an account was signed out. */
export const getAdminUsersByIdExplain = { method: "GET", path: "/api/admin/users/{id}/explain" } as const

export interface AdminUsersExplainQuery {
  /** When the user noticed, in RFC 3339. Default: now. */
  at?: string | undefined
  language?: "en" | "de" | undefined
}

/** Change name, roles, state and metadata of an account. */
export const patchAdminUsersById = { method: "PATCH", path: "/api/admin/users/{id}" } as const

/** Let the next key take over. */
export const postAdminKeysRotate = { method: "POST", path: "/api/admin/keys/rotate" } as const

/** Retry a mail now. */
export const postAdminMailsByIdRetry = { method: "POST", path: "/api/admin/mails/{id}/retry" } as const

/** Create a service key. */
export const postAdminServiceKeys = { method: "POST", path: "/api/admin/service-keys" } as const

/** Create an account, with or without an invitation. */
export const postAdminUsers = { method: "POST", path: "/api/admin/users" } as const

/** Mail another invitation. */
export const postAdminUsersByIdInvite = { method: "POST", path: "/api/admin/users/{id}/invite" } as const

/** Remove all second factors of an account. */
export const postAdminUsersByIdResetFactors = { method: "POST", path: "/api/admin/users/{id}/reset-factors" } as const

/** Mail a link to choose a password. */
export const postAdminUsersByIdResetMail = { method: "POST", path: "/api/admin/users/{id}/reset-mail" } as const

/** Mail a link to verify the address. */
export const postAdminUsersByIdVerifyMail = { method: "POST", path: "/api/admin/users/{id}/verify-mail" } as const

export interface AdminChange {
  /** true ends all sessions. */
  disabled?: boolean | undefined
  /** JSON merge patches (RFC 7396). */
  metadata?: AdminMetadata | undefined
  /** At most 200 characters; may be empty. */
  name?: string | undefined
  /** All roles of the account. Not your own. */
  roles?: string[] | undefined
}

export interface AdminEndedAnswer {
  /** Number of sessions that ended. */
  ended: number
}

export interface AdminEventAnswer {
  /** Its UUID. */
  id: string
  kind: string
  at: string
  /** Above 1 if the entry counts several. */
  times: number
  /** IP address of the client. */
  address?: string | undefined
  detail?: string | undefined
  /** Name of the device. */
  device?: string | undefined
  /** Operator who changed the account. */
  operator?: string | undefined
  requestId?: string | undefined
  session?: string | undefined
}

export interface AdminExplainAnswer {
  /** The answer, with its time in UTC. */
  sentence: string
  /** As in others. */
  reason: string
  /** How certain the answer is. */
  certainty: string
  /** Further help, such as a later sign-in. */
  notes: string[]
  /** The events behind the answer, the newest first. */
  evidence: EventAnswer[]
  /** The other sessions. */
  others: ExplanationAnswer[]
  /** The session that the answer is about. */
  session?: string | undefined
  /** When the session ended; missing: there is no end. */
  when?: string | undefined
}

export interface AdminInvite {
  /** Email address of the account. */
  email: string
  /** true: the address gets an invitation. */
  invite?: boolean | undefined
  /** At most 200 characters. */
  name?: string | undefined
  /** Roles of the account, set by an operator. */
  roles?: string[] | undefined
  /** true: the address counts as proven. Not with invite, and not by a service key. */
  verified?: boolean | undefined
}

export interface AdminMetadata {
  /** An object; a member with null is removed. */
  private?: Record<string, unknown> | undefined
  /** An object; a member with null is removed. */
  public?: Record<string, unknown> | undefined
}

export interface AdminMetadataAnswer {
  /** Grows with each change; 0: never written. */
  version: number
  /** The user reads it at /me. */
  public: Record<string, unknown>
  /** Only administrators and the command line read it. */
  private: Record<string, unknown>
}

export interface AdminUser {
  state: "active" | "unverified" | "disabled"
  hasPassword: boolean
  /** The kinds of second factors: totp, passkey. */
  factors: string[]
  /** Its UUID. */
  id: string
  /** Email address of the account. */
  email: string
  /** Whether the address has been confirmed. */
  emailVerified: boolean
  /** Display name; may be empty. */
  name: string
  /** Roles of the account, set by an operator. */
  roles: string[]
  /** BCP 47, from the sign-up's Accept-Language; empty: unknown. */
  locale: string
  /** When it was created. */
  createdAt: string
  disabledAt?: string | undefined
}

export interface AdminUserAnswer {
  /** The account. */
  user: AdminUser
  metadata?: AdminMetadataAnswer | undefined
}

export interface AdminUserDetailAnswer {
  /** The account. */
  user: AdminUser
  /** Live sessions, the last used first. */
  sessions: Session[]
  /** The last 100 security events, newest first. */
  events: AdminEventAnswer[]
  /** Sessions that ended in the last 7 days, the last used first. */
  endedSessions: EndedSessionAnswer[]
  /** Mails to this user that wait or were given up. */
  mails: OutboxMailAnswer[]
  /** Accounts at providers, the oldest first. */
  identities: IdentityAnswer[]
  metadata?: AdminMetadataAnswer | undefined
}

export interface AdminUsersAnswer {
  items: AdminUser[]
  /** Cursor of the next page, for ?after=; missing: this is the last page. */
  next?: string | undefined
}

export interface CreateServiceKey {
  /** The program that will use the key. At most 64 bytes. */
  name: string
  /** users:read, users:write, roles:write, sessions:end, events:read, mail, keys. */
  scopes: string[]
  /** Seconds. Default: 365 days. */
  expiresIn?: number | undefined
}

export interface CreatedServiceKeyAnswer {
  /** Its UUID. */
  id: string
  /** The key, shown once. */
  key?: string | undefined
}

export interface EndedSessionAnswer {
  /** Its UUID. */
  id: string
  /** Name of the device. */
  device: string
  /** When it was created. */
  createdAt: string
  /** Time of the last refresh. */
  lastUsedAt: string
  endedAt: string
  /** Why it ended. */
  reason: string
}

export interface EventAnswer {
  /** Its UUID. */
  id: string
  kind: string
  at: string
  times: number
  /** IP address of the last use. */
  address?: string | undefined
  detail?: string | undefined
  /** Name of the device. */
  device?: string | undefined
  operator?: string | undefined
  requestId?: string | undefined
  session?: string | undefined
  /** The account. */
  user?: string | undefined
}

export interface EventsAnswer {
  /** The newest first. */
  items: EventAnswer[]
  /** Cursor of the next page, for ?after=; missing: this is the last page. */
  next?: string | undefined
}

export interface ExplanationAnswer {
  /** The answer, with its time in UTC. */
  sentence: string
  /** Why the session ended, or signed_in, roles_changed and others. */
  reason: string
  /** How certain the answer is. */
  certainty: string
  /** Further help, such as a later sign-in. */
  notes: string[]
  /** The session that the answer is about. */
  session?: string | undefined
  /** When the session ended; missing: there is no end. */
  when?: string | undefined
}

export interface FieldError {
  field: string
  code: string
  /** One sentence for people. */
  message: string
}

export interface HourStatsAnswer {
  /** Its beginning, in UTC. */
  hour: string
  signIns: number
  /** Wrong passwords and other refused sign-ins. */
  failedSignIns: number
  /** Refreshes with a lost response that kept their session. */
  lateForgiven: number
  /** Sessions that ended because a refresh token was copied. */
  reuses: number
}

export interface IdentityAnswer {
  /** Its UUID. */
  id: string
  /** Its id in /providers. */
  provider: string
  linkedAt: string
  /** At the provider. */
  email?: string | undefined
  /** Time of its last use. */
  lastUsedAt?: string | undefined
}

export interface KeyStateAnswer {
  /** Its UUID. */
  id: string
  use: "sign" | "refresh"
  alg: string
  number: number
  state: "next" | "active" | "retired"
  publishedAt: string
  activeFrom: string
  /** Everything that it signed has expired by then; missing: it has no successor. */
  dropAt?: string | undefined
}

export interface KeyStatesAnswer {
  items: KeyStateAnswer[]
}

export interface MailsAnswer {
  /** The oldest first. */
  items: OutboxMailAnswer[]
  /** Cursor of the next page, for ?after=; missing: this is the last page. */
  next?: string | undefined
}

export interface Message {
  /** One sentence for people. */
  message: string
}

export interface OutboxMailAnswer {
  /** Its UUID. */
  id: string
  kind: string
  to: string
  state: "waiting" | "given-up"
  attempts: number
  /** When it was created. */
  createdAt: string
  /** The reply of the mail server. */
  lastError?: string | undefined
  /** The next attempt; missing: the mail was given up. */
  nextAt?: string | undefined
  /** The account. */
  user?: string | undefined
}

export interface RotateKeys {
  /** sign: access tokens; refresh: refresh tokens. */
  use: "sign" | "refresh"
}

export interface ServiceKeyAnswer {
  /** Its UUID. */
  id: string
  /** The program that uses the key. */
  name: string
  scopes: string[]
  state: "active" | "expired" | "revoked"
  /** When it was created. */
  createdAt: string
  /** When it expires. */
  expiresAt: string
  /** Exact to the minute; missing: never. */
  lastUsedAt?: string | undefined
  revokedAt?: string | undefined
}

export interface ServiceKeysAnswer {
  /** The newest first. */
  items: ServiceKeyAnswer[]
  /** Cursor of the next page, for ?after=; missing: this is the last page. */
  next?: string | undefined
}

export interface Session {
  /** Its UUID. */
  id: string
  /** A name from the user agent at sign-in. */
  device: string
  /** IP address of the last use. */
  address: string
  /** When it was created. */
  createdAt: string
  /** Time of the last refresh. */
  lastUsedAt: string
  /** Unless it is used before. */
  expiresAt: string
  /** Whether this request belongs to the session. */
  current: boolean
}

export interface StatsAnswer {
  /** At most countedTo. */
  accounts: number
  /** Live sessions. At most countedTo. */
  sessions: number
  /** Where accounts, sessions and events stop counting. */
  countedTo: number
  /** At most 10,000. */
  mailsWaiting: number
  /** At most 10,000. */
  mailsGivenUp: number
  /** The last 24 hours, the oldest first. The last one is not over. */
  hours: HourStatsAnswer[]
}

/** Every refusal of the administration API. It is stable: program against it. */
export type Code =
  | "AMBIGUOUS_CREDENTIALS"
  | "BODY_INVALID"
  | "BODY_TOO_LARGE"
  | "CONTENT_TYPE_UNSUPPORTED"
  | "CROSS_ORIGIN"
  | "EMAIL_TAKEN"
  | "INSUFFICIENT_SCOPE"
  | "INTERNAL"
  | "LAST_ADMIN"
  | "MISDIRECTED_REQUEST"
  | "NOT_FOUND"
  | "OWN_ROLES"
  | "PARAMETER_INVALID"
  | "RATE_LIMITED"
  | "SESSION_ENDED"
  | "STEP_UP_REQUIRED"
  | "TOKEN_EXPIRED"
  | "TOKEN_INVALID"
  | "TOKEN_MISSING"
  | "TRY_LATER"
  | "VALIDATION_FAILED"
  | "VERSION_CHANGED"
