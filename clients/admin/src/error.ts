import type { Code, FieldError } from "./schema.js"

/** The server's codes, and two for requests without a complete response. */
export type AdminErrorCode = Code | "NETWORK" | "TIMEOUT"

type Details = Partial<
  Pick<AdminError, "status" | "fields" | "requestId" | "retryAfter" | "acrValues" | "maxAge" | "cause">
>

/**
 * Why a request failed. Programs compare `code`. The error never contains the key, or the address or
 * query of the request, so it can be logged.
 */
export class AdminError extends Error {
  /** Also accepts errors of another copy of this package, because bundlers may include two. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === "AdminError"
  }

  override readonly name = "AdminError"
  readonly code: AdminErrorCode
  /** The HTTP status; 0 without a response. */
  readonly status: number
  /** With VALIDATION_FAILED: the rejected members of the body. */
  readonly fields: FieldError[]
  /** The request id, for a search in the server's log. */
  readonly requestId: string | undefined
  /** Seconds to wait before another attempt, if the server says so. */
  readonly retryAfter: number | undefined
  /** With STEP_UP_REQUIRED: the accepted levels. The session of the access token needs one of them. */
  readonly acrValues: string[] | undefined
  /** With STEP_UP_REQUIRED: the maximum age in seconds of the session's last proof. */
  readonly maxAge: number | undefined

  constructor(code: AdminErrorCode, message: string, details: Details = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined)
    this.code = code
    this.status = details.status ?? 0
    this.fields = details.fields ?? []
    this.requestId = details.requestId
    this.retryAfter = details.retryAfter
    this.acrValues = details.acrValues
    this.maxAge = details.maxAge
  }
}

/** For a response without a code, such as the response of a proxy. */
function codeOfStatus(status: number): AdminErrorCode {
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
  requestId?: unknown
}

/** Reads an error response (RFC 9457). It hides the key, which a faulty proxy might repeat. */
export async function readErrorResponse(response: Response, key: string): Promise<AdminError> {
  let problem: Problem = {}
  try {
    problem = Object(JSON.parse((await response.text()).replaceAll(key, "…")) as unknown) as Problem
  } catch {
    // The body is incomplete or not JSON, so only the status is used.
  }
  const { code, detail, requestId } = problem
  const known = typeof code === "string"
  const seconds = Number(response.headers.get("Retry-After") ?? NaN)
  const challenge = response.headers.get("WWW-Authenticate") ?? ""
  const maxAge = /max_age="?(\d{1,9})/.exec(challenge)?.[1]
  const message = known && typeof detail === "string" ? detail : `The server responded ${response.status}.`
  return new AdminError(known ? (code as AdminErrorCode) : codeOfStatus(response.status), message, {
    status: response.status,
    fields: Array.isArray(problem.errors) ? problem.errors : [],
    requestId: typeof requestId === "string" ? requestId : undefined,
    retryAfter: seconds >= 0 ? seconds : undefined,
    acrValues: /acr_values="([^"]*)"/.exec(challenge)?.[1]?.split(" "),
    maxAge: maxAge === undefined ? undefined : Number(maxAge),
  })
}
