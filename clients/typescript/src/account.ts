import type { LogoutAllAnswer, MeAnswer, Message } from "./api.js"
import type { Client, Parts } from "./client.js"
import { signOutTabs } from "./signin.js"

type AccountMethods<M extends object> = Pick<
  Client<M>,
  | "logoutAll" | "me" | "updateMe" | "deleteMe" | "sessions" | "endSession" | "forgot" | "reset" | "changePassword"
  | "resendVerification" | "changeEmail" | "undoEmail"
>

export function createAccountMethods<M extends object>(parts: Parts): AccountMethods<M> {
  const { session, stored, post, callAsUser } = parts
  return {
    async logoutAll(body = {}) {
      const response = await callAsUser<LogoutAllAnswer>("POST", "logout-all", body)
      if (!body.keepCurrent) await signOutThisBrowser(parts)
      return response
    },
    me: async () => updateShownUser(parts, await callAsUser("GET", "me")),
    updateMe: async (body) => updateShownUser(parts, await callAsUser("PATCH", "me", body)),
    async deleteMe(body) {
      const response = await callAsUser<Message>("DELETE", "me", body)
      await signOutThisBrowser(parts)
      return response
    },
    sessions: () => callAsUser("GET", "sessions"),
    async endSession(id) {
      const response = await callAsUser<Message>("DELETE", `sessions/${encodeURIComponent(id)}`)
      if (id === session.token?.sid) await signOutThisBrowser(parts)
      return response
    },
    forgot: (body) => post("password/forgot", body),
    async reset(body) {
      const { message, ...tokens } = await post<Message & { deviceToken?: string }>("password/reset", body)
      await stored.save(tokens)
      return { message }
    },
    changePassword: (body) => callAsUser("POST", "password/change", body),
    resendVerification: (body) => post("email/verify/resend", body),
    changeEmail: (body) => callAsUser("POST", "email/change", body),
    undoEmail: (body) => post("email/change/undo", body),
  }
}

/** Clears the session in this browser only, because the server has already ended it. */
async function signOutThisBrowser(parts: Parts): Promise<void> {
  signOutTabs(parts)
  await parts.stored.removeRefreshToken()
}

/** Shows the user of the response, unless another user has signed in since. */
function updateShownUser<M extends object>({ session, tabs }: Parts, response: MeAnswer<M>): MeAnswer<M> {
  if (session.token && session.snapshot.user?.id === response.user.id) {
    session.renewed(session.token, response.user)
    tabs.broadcastToken()
  }
  return response
}
