import type { DeviceSession } from '@watchword/client'
import { useCallback, useEffect, useState } from 'react'
import { client } from './client'
import { errorMessage } from './form'

const localTime = (time: string) => new Date(time).toLocaleString()

export function SessionsPage() {
  const [sessions, setSessions] = useState<DeviceSession[]>()
  const [said, setSaid] = useState('')
  const [error, setError] = useState('')

  const load = useCallback(async () => setSessions((await client.sessions()).sessions), [])
  useEffect(() => void load().catch((fault: unknown) => setError(errorMessage(fault))), [load])

  async function act(action: () => Promise<{ message: string }>) {
    setError('')
    try {
      setSaid((await action()).message)
      if (client.getSnapshot().status === 'signedIn') await load()
    } catch (fault) {
      setError(errorMessage(fault))
    }
  }

  return (
    <>
      <p>You are signed in on these devices. If you don't know one, end its session and choose a new password.</p>
      <p role="alert" className="bad">{error}</p>
      <p role="status" className="good">{said}</p>
      <ul className="sessions" aria-busy={!sessions}>
        {sessions?.map((one) => (
          <li key={one.id}>
            <div>
              <strong>{one.device}</strong>
              {one.current && <span className="badge">this device</span>}
              <p className="hint">
                {one.address} · used {localTime(one.lastUsedAt)} · since {localTime(one.createdAt)}
              </p>
            </div>
            <button
              type="button"
              className="quiet"
              aria-label={`End the session on ${one.device}`}
              onClick={() => act(() => client.endSession(one.id))}
            >
              End
            </button>
          </li>
        ))}
      </ul>
      <p className="actions">
        <button type="button" className="quiet" onClick={() => act(() => client.logoutAll({ keepCurrent: true }))}>
          End all others
        </button>
        <button type="button" onClick={() => act(() => client.logoutAll())}>
          Sign out everywhere
        </button>
      </p>
    </>
  )
}
