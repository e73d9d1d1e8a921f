// What the server offers, call by call. A promise that is kept has the text to show, if there is one.
import { api } from './api'
import { change } from './session'

export interface User {
  id: string
  firstName: string
  lastName: string
  email: string
}

/** What was entered in a form, by the names of its fields. */
export type Entered = Record<string, FormDataEntryValue>

export const signUp = (entered: Entered) => enter('/signup', entered)
export const logIn = (entered: Entered) => enter('/login', entered)

async function enter(path: string, entered: Entered): Promise<string | undefined> {
  const { data } = await api.post(path, entered)
  if (data.accessToken) change({ status: 'loggedIn', accessToken: data.accessToken })
  return data.feedback // an address that has to be confirmed first gets no token, but a mail
}

export async function profile(): Promise<User> {
  return (await api.get('/me')).data.user
}

export const logOut = () => leave('/logout')
export const logOutEverywhere = () => leave('/master-logout')

async function leave(path: string): Promise<void> {
  await api.post(path) // 205, without a body
  change({ status: 'loggedOut' })
}

/** The link in the mail is this page, followed by / and a token. */
export async function forgotPassword(entered: Entered): Promise<string> {
  const { data } = await api.post('/forgotpass', entered, { headers: { 'X-reset-base': `${location.origin}/resetpass` } })
  return data.feedback
}

export async function resetPassword(token: string, entered: Entered): Promise<void> {
  const { data } = await api.patch(`/resetpass/${token}`, entered)
  change({ status: 'loggedOut', notice: `${data.message}. Log in with the new one.` })
}
