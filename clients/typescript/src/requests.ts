// Requests to /api/auth. Paths are relative to it.

import type { SendAuthorized } from "./authorized.js"
import type { Settings } from "./options.js"
import { jsonRequest, readJSON, send } from "./transport.js"

export interface PostOptions {
  accessToken?: string | undefined
  signal?: AbortSignal
}

/** Sends a POST request without the access token, or with the given one. */
export interface Post {
  <T>(path: string, body?: object, options?: PostOptions): Promise<T>
}

export interface CallAsUser {
  <T>(method: string, path: string, body?: object, canStepUp?: boolean): Promise<T>
}

export function createPost({ apiUrl, transport, credentials }: Settings): Post {
  return <T>(path: string, body?: object, { accessToken, signal }: PostOptions = {}): Promise<T> => {
    const init: RequestInit = { ...jsonRequest("POST", body), ...credentials, ...(signal && { signal }) }
    if (accessToken) init.headers = { ...init.headers, Authorization: `Bearer ${accessToken}` }
    return send(transport, `${apiUrl}/${path}`, init, readJSON<T>)
  }
}

export function createCallAsUser(settings: Settings, sendAuthorized: SendAuthorized): CallAsUser {
  const { apiUrl, transport, credentials } = settings
  return <T>(method: string, path: string, body?: object, canStepUp?: boolean): Promise<T> => {
    const init = { ...jsonRequest(method, body), ...credentials }
    return sendAuthorized(transport, `${apiUrl}/${path}`, init, readJSON<T>, canStepUp)
  }
}
