import type { SignIn } from "./api.js"
import type { TokenStorage } from "./options.js"
import type { Post } from "./requests.js"

/**
 * The refresh token and the device token of a program. Without a storage, the browser stores both as cookies.
 */
export interface StoredTokens {
  /** Whether tokens are sent in bodies instead of cookies. */
  readonly inBody: boolean
  refreshToken(): Promise<string | undefined>
  deviceToken(): Promise<string | undefined>
  save(response: Pick<SignIn, "refreshToken" | "deviceToken">): Promise<void>
  removeRefreshToken(): Promise<void>
  /**
   * Sends the refresh and stores the new token, unless the signal was aborted. undefined:
   * there is no refresh token.
   */
  refresh(post: Post, signal: AbortSignal): Promise<SignIn | undefined>
}

export function createStoredTokens(storage: TokenStorage | undefined): StoredTokens {
  let fallbackDeviceToken: string | undefined // kept in memory, in case the storage has no setDevice

  const refreshToken = async (): Promise<string | undefined> => (await storage?.get()) ?? undefined

  async function save(response: Pick<SignIn, "refreshToken" | "deviceToken">): Promise<void> {
    if (!storage) return
    if (response.refreshToken) await storage.set(response.refreshToken)
    if (!response.deviceToken) return
    fallbackDeviceToken = response.deviceToken
    await storage.setDevice?.(response.deviceToken)
  }

  return {
    inBody: storage !== undefined,
    refreshToken,
    deviceToken: async () => storage && ((await storage.getDevice?.()) ?? fallbackDeviceToken),
    save,
    removeRefreshToken: async () => storage?.remove(),
    async refresh(post, signal) {
      const token = await refreshToken()
      if (storage && !token) return undefined
      // Browsers log a 401 as an error. With optional=true, the server responds 204 to a
      // visitor without a cookie.
      const path = storage ? "refresh" : "refresh?optional=true"
      const response = await post<SignIn | undefined>(path, storage && { refreshToken: token }, { signal })
      if (response && !signal.aborted) await save(response)
      return response
    },
  }
}
