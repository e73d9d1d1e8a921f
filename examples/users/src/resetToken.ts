// The mailed link is /resetpass/<token>. This module removes the token from the URL at once. Other people then can't
// read it on the screen, and a copied URL does not contain it.
const [, token] = /^\/resetpass\/([^/]+)\/?$/.exec(location.pathname) ?? []
if (token) history.replaceState(null, '', '/resetpass')

export const resetToken = token
