// The link in the mail is /resetpass/<token>. The token is removed from the URL bar first, so that it is not
// read from the screen or shared with a copied URL.
const [, token] = /^\/resetpass\/([^/]+)\/?$/.exec(location.pathname) ?? []
if (token) history.replaceState(null, '', '/resetpass')

export const resetToken = token
