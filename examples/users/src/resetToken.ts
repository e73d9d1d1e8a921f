// The link in the mail is /resetpass/<token>. The token is taken out of the URL bar before anything else
// happens: nobody is to read it off the screen, or to send it on with a copied URL.
const [, token] = /^\/resetpass\/([^/]+)\/?$/.exec(location.pathname) ?? []
if (token) history.replaceState(null, '', '/resetpass')

export const resetToken = token
