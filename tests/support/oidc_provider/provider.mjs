// An OpenID Connect provider for the tests: any user name and password is right, "gauss" is in the
// group "admins". Its port, and the addresses of its client, are the arguments.

import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const [port, redirectUri, afterLogout] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'eportal',
      client_secret: 'a secret+with%odd/characters',
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [afterLogout],
    },
  ],
  claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
  cookies: { keys: ['not secret'] },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      preferred_username: id,
      groups: id === 'gauss' ? ['admins', 'mathematicians'] : ['mathematicians'],
    }),
  }),
  pkce: { required: () => true },
});

createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('ready'));
