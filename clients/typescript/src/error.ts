import type { Code } from "./codes.js"

/** What is unacceptable about one member of a request. */
export interface FieldError {
  field: string
  /** Such as PASSWORD_TOO_SHORT. */
  code: string
  /** One sentence for people. */
  message: string
}

/** The codes of the server, and two for requests that it never answered. */
export type WatchwordErrorCode = Code | "NETWORK" | "TIMEOUT"

/**
 * The one error that this package throws. Program against `code`; `message` is one
 * sentence for people.
 */
export class WatchwordError extends Error {
  override readonly name = "WatchwordError"
  readonly code: WatchwordErrorCode
  /** The HTTP status; 0 if there was no answer. */
  readonly status: number
  /** With VALIDATION_FAILED: which members of the request are unacceptable. */
  readonly fields: FieldError[]
  /** Stands in the server's log, too. */
  readonly requestId: string | undefined
  /** Seconds to wait before another try, if the server (or the back-off) says so. */
  readonly retryAfter: number | undefined

  constructor(code: WatchwordErrorCode, message: string, more: Partial<Pick<WatchwordError, "status" | "fields" | "requestId" | "retryAfter" | "cause">> = {}) {
    super(message, "cause" in more ? { cause: more.cause } : undefined)
    this.code = code
    this.status = more.status ?? 0
    this.fields = more.fields ?? []
    this.requestId = more.requestId
    this.retryAfter = more.retryAfter
  }
}

/** What a refusal without a code of ours (of a proxy, say) is taken for. */
function codeOf(status: number): Code {
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
  requestId?: string
}

/** Reads a refusal (RFC 9457). It leaves the body of the response to others. */
export async function refusal(response: Response): Promise<WatchwordError> {
  let problem: Problem = {}
  try {
    problem = Object((await response.clone().json()) as unknown) as Problem
  } catch {
    // Not JSON, or broken off: the status says enough.
  }
  const { code, detail } = problem
  const seconds = Number(response.headers.get("Retry-After") ?? NaN)
  return new WatchwordError(
    typeof code === "string" ? (code as Code) : codeOf(response.status),
    typeof detail === "string" ? detail : `The server answered ${response.status}.`,
    {
      status: response.status,
      fields: Array.isArray(problem.errors) ? problem.errors : [],
      requestId: problem.requestId ?? response.headers.get("X-Request-Id") ?? undefined,
      retryAfter: seconds >= 0 ? seconds : undefined,
    },
  )
}
