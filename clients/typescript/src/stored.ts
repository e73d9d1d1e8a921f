import type { SignIn } from "./api.js"
import type { TokenStorage } from "./options.js"
import type { Post } from "./requests.js"

/**
 * The refresh token and the device token of a program. Without a storage both are cookies, and the browser stores them.
 */
export interface StoredTokens {
  /** Whether tokens travel in bodies instead of cookies. */
  readonly inBody: boolean
  refreshToken(): Promise<string | undefined>
  deviceToken(): Promise<string | undefined>
  /** Stores the tokens of a response, if it has any. */
  save(response: Pick<SignIn, "refreshToken" | "deviceToken">): Promise<void>
  removeRefreshToken(): Promise<void>
  /**
   * Sends the refresh and stores the new token, unless the signal was aborted. undefined:
   * there is no refresh token.
   */
  refresh(post: Post, signal: AbortSignal): Promise<SignIn | undefined>
}

export function createStoredTokens(storage: TokenStorage | undefined): StoredTokens {
  let device: string | undefined // for a storage without device tokens

  const refreshToken = async (): Promise<string | undefined> => (await storage?.get()) ?? undefined

  async function save(response: Pick<SignIn, "refreshToken" | "deviceToken">): Promise<void> {
    if (!storage) return
    if (response.refreshToken) await storage.set(response.refreshToken)
    if (!response.deviceToken) return
    device = response.deviceToken
    await storage.setDevice?.(response.deviceToken)
  }

  return {
    inBody: storage !== undefined,
    refreshToken,
    deviceToken: async () => storage && ((await storage.getDevice?.()) ?? device),
    save,
    removeRefreshToken: async () => storage?.remove(),
    async refresh(post, signal) {
      const token = await refreshToken()
      if (storage && !token) return undefined
      // A browser prints a 401 in red. With optional=true a visitor without a cookie gets 204.
      const path = storage ? "refresh" : "refresh?optional=true"
      const response = await post<SignIn | undefined>(path, storage && { refreshToken: token }, { signal })
      if (response && !signal.aborted) await save(response)
      return response
    },
  }
}
