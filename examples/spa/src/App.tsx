import { useSession } from '@watchword/client/react'
import { useEffect, useRef, useState } from 'react'
import { AccountPage } from './AccountPage'
import { client } from './client'
import { errorMessage } from './form'
import { ForgotPage } from './ForgotPage'
import mark from './mark.svg'
import { useRoute, type Path } from './route'
import { SessionsPage } from './SessionsPage'
import { SignInPage } from './SignInPage'
import { SignUpPage } from './SignUpPage'

const titles: Record<Path, string> = {
  'sign-in': 'Sign in',
  'sign-up': 'Create an account',
  forgot: 'Forgotten password',
  account: 'Your account',
  sessions: 'Your sessions',
}

export function App() {
  const session = useSession(client)
  const route = useRoute()
  const isHome = session.status === 'signedIn' && route !== 'account' && route !== 'sessions'
  useEffect(() => {
    if (isHome) location.replace('#/account') // replaces the form in the history, so the back button skips it
  }, [isHome])
  if (session.status === 'unknown') {
    return (
      <Frame title="Loading…">
        <p role="status">Checking whether you are signed in. If this page stays, the server can't be reached.</p>
      </Frame>
    )
  }
  if (session.status === 'signedIn') {
    const page = route === 'sessions' ? route : 'account'
    return (
      <Frame title={titles[page]} nav={<Nav here={page} />}>
        {page === 'sessions' ? <SessionsPage /> : <AccountPage user={session.user} />}
      </Frame>
    )
  }
  const page = route === 'sign-up' || route === 'forgot' ? route : 'sign-in'
  return (
    <Frame title={titles[page]}>
      {page === 'sign-in' && <SignInPage reason={session.reason} />}
      {page === 'sign-up' && <SignUpPage />}
      {page === 'forgot' && <ForgotPage />}
    </Frame>
  )
}

/** Moves the focus to the heading of a new page, for screen readers. */
function Frame({ title, nav, children }: { title: string; nav?: React.ReactNode; children: React.ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null)
  const shown = useRef('')
  useEffect(() => {
    document.title = `${title} · Watchword example`
    if (shown.current && shown.current !== title) heading.current?.focus()
    shown.current = title
  }, [title])
  return (
    <>
      <header>
        <span className="brand"><img src={mark} alt="" width="28" height="28" /> Example</span>
        {nav}
      </header>
      <main>
        <h1 ref={heading} tabIndex={-1}>{title}</h1>
        {children}
      </main>
    </>
  )
}

function Nav({ here }: { here: Path }) {
  const [error, setError] = useState('')
  const link = (path: Path, text: string) => (
    <a href={`#/${path}`} aria-current={path === here ? 'page' : undefined}>
      {text}
    </a>
  )
  return (
    <nav aria-label="Main">
      {link('account', 'Account')}
      {link('sessions', 'Sessions')}
      <button
        type="button"
        className="quiet"
        onClick={() => client.logout().catch((e: unknown) => setError(errorMessage(e)))}
      >
        Sign out
      </button>
      <span role="alert" className="bad">{error}</span>
    </nav>
  )
}
