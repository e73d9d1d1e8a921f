import type { Provider } from '@watchword/client/providers'
import { useEffect, useState } from 'react'
import { providers } from './client'
import { errorMessage } from './form'

// After a failed redirect, the URL has an error code. It is read here, because a module runs
// once per page load.
const redirectError = providers.takeError()

/** A button for each provider that the server offers. */
export function Providers() {
  const [list, setList] = useState<Provider[]>([])
  const [message, setMessage] = useState(redirectError?.message ?? '')

  useEffect(() => {
    providers.list().then((answer) => setList(answer.providers), () => {}) // without the list, the form still works
  }, [])

  async function signIn({ id, name }: Provider) {
    setMessage('')
    try {
      const { cancelled } = await providers.signInWith(id, { mode: 'popup' })
      if (cancelled === 'blocked') await providers.signInWith(id) // if no popup opens, this page goes to the provider
      if (cancelled === 'closed') setMessage(`The window of ${name} was closed. Try again, or sign in another way.`)
    } catch (error) {
      setMessage(errorMessage(error))
    }
  }

  return (
    <>
      <p role="alert" className="bad">{message}</p>
      {list.map((one) => (
        <p key={one.id}>
          <button type="button" className="quiet" onClick={() => void signIn(one)}>
            Continue with {one.name}
          </button>
        </p>
      ))}
    </>
  )
}
