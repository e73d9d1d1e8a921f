import type { User } from '@watchword/client'
import { useState } from 'react'
import { client, serverURL } from './client'
import { Field, Form, errorMessage, text } from './form'

export function AccountPage({ user }: { user: User }) {
  return (
    <>
      <p>Only signed-in users see this page.</p>
      <dl>
        <dt>E-mail</dt>
        <dd>
          {user.email} <span className="hint">{user.emailVerified ? '(confirmed)' : '(not confirmed)'}</span>
        </dd>
        <dt>Name</dt>
        <dd>{user.name || '–'}</dd>
        <dt>Roles</dt>
        <dd>{user.roles.join(', ') || '–'}</dd>
        <dt>Since</dt>
        <dd>{new Date(user.createdAt).toLocaleString()}</dd>
      </dl>
      <Request />
      <h2>Change your name</h2>
      <Form key={user.name} button="Save" onSubmit={(entered) => client.updateMe({ name: text(entered, 'name') })}>
        {(faults) => (
          <Field
            name="name"
            label="Name"
            autoComplete="name"
            defaultValue={user.name}
            maxLength={200}
            fault={faults.name}
          />
        )}
      </Form>
    </>
  )
}

interface Seen {
  status: number
  sid: string
  expires: Date
}

/** Sends a request, as an application does to its own API, and shows the claims of the access token. */
function Request() {
  const [seen, setSeen] = useState<Seen>()
  const [error, setError] = useState('')

  async function ask() {
    setError('')
    try {
      const { status } = await client.fetch(`${serverURL}/api/auth/me`)
      const claims = decodeClaims(await client.getAccessToken())
      setSeen({ status, sid: claims.sid, expires: new Date(claims.exp * 1000) })
    } catch (fault) {
      setError(errorMessage(fault))
    }
  }

  return (
    <>
      <h2>A request with your access token</h2>
      <p><button type="button" onClick={ask}>Ask the API</button></p>
      <p role="alert" className="bad">{error}</p>
      <div role="status">
        {seen && (
          <dl>
            <dt>Answer</dt><dd>{seen.status}</dd>
            <dt>Session (claim sid)</dt><dd><code>{seen.sid}</code></dd>
            <dt>Token is good until</dt><dd>{seen.expires.toLocaleTimeString()}</dd>
          </dl>
        )}
      </div>
    </>
  )
}

/** Only for display: a program that trusts a token must verify it, on a server. */
function decodeClaims(token: string): { sid: string; exp: number } {
  const [, body = ''] = token.split('.')
  return JSON.parse(atob(body.replaceAll('-', '+').replaceAll('_', '/')))
}
