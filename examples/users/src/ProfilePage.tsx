import { useCallback, useEffect, useState } from 'react'
import { logOut, logOutEverywhere, profile, type User } from './account'
import { errorMessage } from './form'

export function ProfilePage() {
  const [user, setUser] = useState<User>()
  const [error, setError] = useState('')
  const [isBusy, setBusy] = useState(true)

  const act = useCallback(async (action: () => Promise<void>) => {
    setError('')
    setBusy(true)
    try {
      await action()
    } catch (fault) {
      setError(errorMessage(fault))
    }
    setBusy(false)
  }, [])
  const load = useCallback(() => act(async () => setUser(await profile())), [act])
  useEffect(() => void load(), [load])

  return (
    <>
      <dl aria-busy={isBusy}>
        <dt>First name</dt><dd>{user?.firstName}</dd>
        <dt>Last name</dt><dd>{user?.lastName}</dd>
        <dt>E-mail</dt><dd>{user?.email}</dd>
        <dt>Id</dt><dd><code>{user?.id}</code></dd>
      </dl>
      <p role="alert" className="bad">{error}</p>
      <p className="actions">
        <button type="button" onClick={load}>Reload</button>
        <button type="button" className="quiet" onClick={() => act(logOut)}>Log out</button>
        <button type="button" className="quiet" onClick={() => act(logOutEverywhere)}>Log out everywhere</button>
      </p>
    </>
  )
}
