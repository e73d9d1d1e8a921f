import { auth } from "../../lib/auth"
import { watchwordUrl } from "../../lib/watchword"

interface Session {
  id: string
  device: string
  lastUsedAt: string
  current: boolean
}

export async function Sessions() {
  const response = await (await auth()).fetch(`${watchwordUrl}/api/auth/sessions`)
  if (!response.ok) throw new Error(`the server responded ${response.status}`)
  const { sessions } = (await response.json()) as { sessions: Session[] }
  return (
    <ul className="sessions">
      {sessions.map(({ id, device, lastUsedAt, current }) => (
        <li key={id}>
          <span>{device}{current && <span className="badge">this device</span>}</span>
          <time className="hint" dateTime={lastUsedAt}>{lastUsedAt.slice(0, 16).replace("T", " ")}</time>
        </li>
      ))}
    </ul>
  )
}
