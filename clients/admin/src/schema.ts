// Code generated from /openapi.json by cmd/watchword/admin_schema_test.go. DO NOT EDIT.

/** Delete an account. */
export const deleteAdminUsersById = { method: "DELETE", path: "/api/admin/users/{id}" } as const

/** End all sessions of an account. */
export const deleteAdminUsersByIdSessions = { method: "DELETE", path: "/api/admin/users/{id}/sessions" } as const

/** End one session of an account. */
export const deleteAdminUsersByIdSessionsBySid = { method: "DELETE", path: "/api/admin/users/{id}/sessions/{sid}" } as const

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

/** Create an account and mail an invitation. */
export const postAdminUsers = { method: "POST", path: "/api/admin/users" } as const

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
  /** true: the address gets an invitation. There is no other way to create an account. */
  invite: boolean
  /** At most 200 characters. */
  name?: string | undefined
  /** Roles of the account, set by an operator. */
  roles?: string[] | undefined
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
  locale: string
  /** When it was created. */
  createdAt: string
  state: "active" | "unverified" | "disabled"
  hasPassword: boolean
  /** The kinds of second factors: totp, passkey. */
  factors: string[]
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
  metadata?: AdminMetadataAnswer | undefined
}

export interface AdminUsersAnswer {
  items: AdminUser[]
  /** The parameter after of the next page; missing: this is the last. */
  next?: string | undefined
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

export interface Message {
  /** One sentence for people. */
  message: string
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
  | "SESSION_ENDED"
  | "STEP_UP_REQUIRED"
  | "TOKEN_EXPIRED"
  | "TOKEN_INVALID"
  | "TOKEN_MISSING"
  | "TRY_LATER"
  | "VALIDATION_FAILED"
  | "VERSION_CHANGED"
