// admin.js -- users, tokens and hosts, each behind a tab.

import { html } from '../html.js';
import { href } from '../url.js';
import { HostsTab } from '../parts/admin-hosts.js';
import { TokensTab } from '../parts/admin-tokens.js';
import { UsersTab } from '../parts/admin-users.js';

const TABS = [['users', 'Users', UsersTab], ['tokens', 'Tokens', TokensTab], ['hosts', 'Hosts', HostsTab]];

export default function Admin({ params }) {
    const [present, , Tab] = TABS.find(([name]) => name === params.tab) ?? TABS[0];
    return html`<h1>Admin</h1>
        <nav class="tabs" aria-label="Parts of this page">
            ${TABS.map(([name, label]) => html`<a key=${name} href=${href(['admin'], { tab: name })}
                aria-current=${name === present ? 'page' : undefined}>${label}</a>`)}
        </nav>
        <${Tab} key=${present} params=${params} />`;
}
