import { useEffect, useState, type ReactNode } from 'react'
import { reauthenticate } from './api'
import { ForgotPage } from './ForgotPage'
import { errorMessage } from './form'
import { LoginPage } from './LoginPage'
import mark from './mark.svg'
import { ProfilePage } from './ProfilePage'
import { ResetPage } from './ResetPage'
import { go, usePath } from './route'
import { useSession } from './session'
import { SignUpPage } from './SignUpPage'

export function App() {
  const session = useSession()
  const path = usePath()
  const isDone = session.status === 'loggedIn' && path !== '/' && path !== '/resetpass'
  useEffect(() => {
    if (isDone) go('/', 'replaceState') // replaces the form in the history, so the back button skips it
  }, [isDone])
  if (path === '/resetpass') return <Page title="Choose a new password"><ResetPage /></Page>
  switch (session.status) {
    case 'unknown':
      return <Page title="Loading…"><Asking /></Page>
    case 'loggedIn':
      return <Page title="Your profile"><ProfilePage /></Page>
  }
  switch (path) {
    case '/signup':
      return <Page title="Sign up"><SignUpPage /></Page>
    case '/forgotpass':
      return <Page title="Forgotten password"><ForgotPage /></Page>
  }
  return <Page title="Log in"><LoginPage notice={session.notice} /></Page>
}

function Page({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => void (document.title = `${title} · Watchword example`), [title])
  return (
    <>
      <header><img src={mark} alt="" width="28" height="28" /> Example</header>
      <main>
        <h1>{title}</h1>
        {children}
      </main>
    </>
  )
}

/** Shown after a reload, while the page sends the cookie to the server to find out which user is logged in. */
function Asking() {
  const [error, setError] = useState('')
  function ask() {
    setError('')
    reauthenticate().catch((fault: unknown) => setError(errorMessage(fault)))
  }
  useEffect(ask, [])
  if (!error) return <p role="status">Checking whether you are logged in.</p>
  return (
    <>
      <p role="alert" className="bad">{error}</p>
      <button type="button" onClick={ask}>Try again</button>
    </>
  )
}
