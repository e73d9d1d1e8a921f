import type { Challenge } from "./api.js"
import type { Code } from "./codes.js"

/** Why one field of a request was rejected. */
export interface FieldError {
  field: string
  /** Such as PASSWORD_TOO_SHORT. */
  code: string
  /** One sentence to show to the user. */
  message: string
}

/** The server's codes, two for requests without a response, and the browser's codes for passkeys. */
export type WatchwordErrorCode =
  | Code
  | "NETWORK"
  | "TIMEOUT"
  /** The browser or the device does not support the passkey. */
  | "PASSKEY_UNSUPPORTED"
  /** The device already has a passkey of the account. */
  | "PASSKEY_EXISTS"
  /** The page's origin must not use the passkeys of this server. */
  | "PASSKEY_ORIGIN"
  /** Any other failure of the browser; its error is the `cause`. */
  | "PASSKEY_FAILED"

type ErrorDetails = Partial<
  Pick<WatchwordError, "status" | "fields" | "challenge" | "requestId" | "retryAfter" | "cause">
>

/**
 * The only error class of this package. Programs compare `code`; `message` is one sentence
 * to show to the user.
 */
export class WatchwordError extends Error {
  /** Also accepts errors of another copy of this package, because frameworks put a copy into each bundle. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === "WatchwordError"
  }

  override readonly name = "WatchwordError"
  readonly code: WatchwordErrorCode
  /** The HTTP status; 0 without a response. */
  readonly status: number
  /** With VALIDATION_FAILED: the rejected fields of the request. */
  readonly fields: FieldError[]
  /** With SECOND_FACTOR_REQUIRED and ENROLMENT_REQUIRED: how to continue. */
  readonly challenge: Challenge | undefined
  /** The request id, for a search in the server's log. */
  readonly requestId: string | undefined
  /** Seconds to wait before a retry, from the server or from the backoff. */
  readonly retryAfter: number | undefined

  constructor(code: WatchwordErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined)
    this.code = code
    this.status = details.status ?? 0
    this.fields = details.fields ?? []
    this.challenge = details.challenge
    this.requestId = details.requestId
    this.retryAfter = details.retryAfter
  }
}

/** For a response without a code, such as the response of a proxy. */
function codeOfStatus(status: number): Code {
  if (status === 401) return "TOKEN_INVALID"
  if (status === 404) return "NOT_FOUND"
  if (status === 429) return "RATE_LIMITED"
  if (status === 502 || status === 503 || status === 504) return "TRY_LATER"
  return "INTERNAL"
}

interface Problem {
  code?: unknown
  detail?: unknown
  errors?: FieldError[]
  challenge?: Challenge
  requestId?: string
}

/** RFC 9457. Reads a clone, so that the caller can still read the body. */
export async function readErrorResponse(response: Response): Promise<WatchwordError> {
  let problem: Problem = {}
  try {
    problem = Object((await response.clone().json()) as unknown) as Problem
  } catch {
    // The body is incomplete or not JSON, so only the status is used.
  }
  const { code, detail } = problem
  const seconds = Number(response.headers.get("Retry-After") ?? NaN)
  return new WatchwordError(
    typeof code === "string" ? (code as Code) : codeOfStatus(response.status),
    typeof detail === "string" ? detail : `The server responded ${response.status}.`,
    {
      status: response.status,
      fields: Array.isArray(problem.errors) ? problem.errors : [],
      challenge: problem.challenge,
      requestId: problem.requestId ?? response.headers.get("X-Request-Id") ?? undefined,
      retryAfter: seconds >= 0 ? seconds : undefined,
    },
  )
}
