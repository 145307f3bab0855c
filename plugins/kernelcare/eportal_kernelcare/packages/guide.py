"""How a host gets the agent, by hand and by Ansible, Chef or Puppet.

The commands and the calls are those of the public documentation; the texts are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from eportal_core import Guide

_ANSIBLE = """- hosts: all
  become: true
  vars:
    eportal_srv: "@ADDRESS@"
    activation_key: "@KEY@"
  tasks:
    - name: Fetch the installation script
      ansible.builtin.get_url:
        url: "{{ eportal_srv }}/install-kernelcare"
        dest: /usr/local/sbin/install-kernelcare
        mode: "0700"
    - name: Install the agent
      ansible.builtin.command:
        cmd: bash /usr/local/sbin/install-kernelcare
        creates: /usr/bin/kcarectl
    - name: Register the server
      ansible.builtin.command:
        cmd: "/usr/bin/kcarectl --register {{ activation_key }}"
        creates: /etc/sysconfig/kcare/systemid
"""
_ANSIBLE_REMOVE = """- hosts: retired
  become: true
  tasks:
    - name: Unregister the server
      ansible.builtin.command:
        cmd: /usr/bin/kcarectl --unregister
        removes: /usr/bin/kcarectl
      failed_when: false
    - name: Remove the package
      ansible.builtin.package:
        name: kernelcare
        state: absent
"""
_CHEF = """portal = '@ADDRESS@'
key = '@KEY@'

remote_file '/usr/local/sbin/install-kernelcare' do
  source "#{portal}/install-kernelcare"
  mode '0700'
end

execute 'install the agent' do
  command 'bash /usr/local/sbin/install-kernelcare'
  creates '/usr/bin/kcarectl'
end

execute 'register the server' do
  command "/usr/bin/kcarectl --register #{key}"
  creates '/etc/sysconfig/kcare/systemid'
end
"""
_CHEF_REMOVE = """# Run by whoever tears a host down. The API key is one with the scope "write".
http_request 'remove the server' do
  url "@ADDRESS@/admin/api/delete_server?hostname=#{node['hostname']}"
  action :post
  headers('X-Api-Key' => ENV.fetch('EPORTAL_API_KEY'))
end
"""
_PUPPET = """class eportal_agent (
  String $portal = '@ADDRESS@',
  String $key    = '@KEY@',
) {
  exec { 'install the agent':
    command  => "curl -sSf ${portal}/install-kernelcare | bash",
    provider => shell,
    path     => ['/usr/bin', '/bin', '/usr/sbin', '/sbin'],
    creates  => '/usr/bin/kcarectl',
  }
  -> exec { 'register the server':
    command => "/usr/bin/kcarectl --register ${key}",
    creates => '/etc/sysconfig/kcare/systemid',
  }
}
"""
_TASK_REMOVE = """#!/bin/sh
# A task for Bolt. The API key is one with the scope "write".
set -eu
curl -sSf -X POST -H "X-Api-Key: $EPORTAL_API_KEY" \\
    --data-urlencode "hostname=$(uname -n)" "@ADDRESS@/admin/api/delete_server"
"""


def guides() -> Sequence[Guide]:
    return [
        Guide(
            "Install the agent",
            "Each server runs an agent, which registers with a key, checks in every four hours "
            "and applies the patchsets that the feed of its key has. The commands are for root on "
            "the server, with bash and curl.",
            (
                (
                    "Install it from this portal, and have it ask this portal for patches. Read "
                    "the script first if you like: it is at the same address.",
                    "curl -s @ADDRESS@/install-kernelcare | bash",
                ),
                ("Register the server.", "kcarectl --register @KEY@"),
                (
                    "To have mails of its cron job sent somewhere, say so before the installation.",
                    "export KCARE_MAILTO=admin@example.com",
                ),
            ),
            "kernel",
            order=10,
        ),
        Guide(
            "When the portal gets another address",
            "Servers keep the address by which they were set up. Tell them the new one, by calling "
            "the portal there.",
            (
                (
                    "On each server:",
                    "curl -s @ADDRESS@/set-kernelcare-repo | bash\n"
                    "curl -s @ADDRESS@/set-patch-server | bash",
                ),
            ),
            "kernel",
            order=20,
        ),
        Guide(
            "Take a server away",
            "While it is alive, the server does it itself. What was destroyed is removed on the "
            "page Servers, by the HTTP API, or by itself when it has been silent for long.",
            (
                ("On the server:", "kcarectl --unregister"),
                (
                    "From anywhere, with an API key that may write:",
                    "curl -X POST -H 'X-Api-Key: …' '@ADDRESS@/admin/api/delete_server"
                    "?hostname=web1'",
                ),
            ),
            "kernel",
            order=30,
        ),
        Guide(
            "Ansible",
            "Two playbooks: the first can be run as often as you like.",
            (("Install and register:", _ANSIBLE), ("Unregister and remove:", _ANSIBLE_REMOVE)),
            "kernel",
            order=200,
        ),
        Guide(
            "Chef",
            "Two recipes.",
            (("Install and register:", _CHEF), ("Remove a host that is torn down:", _CHEF_REMOVE)),
            "kernel",
            order=210,
        ),
        Guide(
            "Puppet",
            "A class, and a task for Bolt.",
            (("Install and register:", _PUPPET), ("Remove a host, as a task:", _TASK_REMOVE)),
            "kernel",
            order=220,
        ),
    ]
