// Requests to the server's API. If a function returns a text, the page shows it.
import { api } from './api'
import { change } from './session'

export interface User {
  id: string
  firstName: string
  lastName: string
  email: string
}

/** By field name. */
export type Entered = Record<string, FormDataEntryValue>

export const signUp = (entered: Entered) => signIn('/signup', entered)
export const logIn = (entered: Entered) => signIn('/login', entered)

async function signIn(path: string, entered: Entered): Promise<string | undefined> {
  const { data } = await api.post(path, entered)
  if (data.accessToken) change({ status: 'loggedIn', accessToken: data.accessToken })
  return data.feedback // no token yet: the user must confirm the address first
}

export async function profile(): Promise<User> {
  return (await api.get('/me')).data.user
}

export const logOut = () => end('/logout')
export const logOutEverywhere = () => end('/master-logout')

async function end(path: string): Promise<void> {
  await api.post(path) // the response is a 205 without a body
  change({ status: 'loggedOut' })
}

/** The mailed link is the URL of this page, followed by / and a token. */
export async function forgotPassword(entered: Entered): Promise<string> {
  const { data } = await api.post('/forgotpass', entered, {
    headers: { 'X-reset-base': `${location.origin}/resetpass` },
  })
  return data.feedback
}

export async function resetPassword(token: string, entered: Entered): Promise<void> {
  const { data } = await api.patch(`/resetpass/${token}`, entered)
  change({ status: 'loggedOut', notice: `${data.message}. Log in with the new one.` })
}
