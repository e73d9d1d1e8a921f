import type { Provider } from "@watchword/client/server"
import { signInWith } from "./actions"

/** A button for each external provider. The buttons work without JavaScript, too. */
export function Providers({ to, providers }: { to: string; providers: Provider[] }) {
  if (providers.length === 0) return null
  return (
    <form action={signInWith}>
      <input type="hidden" name="to" value={to} />
      {providers.map(({ id, name }) => (
        <button key={id} className="quiet" name="provider" value={id}>Continue with {name}</button>
      ))}
    </form>
  )
}
