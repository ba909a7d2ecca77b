# SPDX-License-Identifier: Apache-2.0
# The configuration of asyncjob run: the user's stays in force, the provider is added, and the
# file that holds it is the user's alone.
import os
import ssl
import stat
import unittest

from support import ASYNCJOB, OTHER_CHOICE, ProgramTest, default_properties, handshake

USERS = """
openssl_conf = my init
[my init]
providers = my_providers
ssl_conf = my_ssl
oid_section = my_oids
[my_providers]
1.legacy = my_legacy
default = my_default
[my_legacy]
activate = 1
[my_default]
activate = 1
[my_ssl]
system_default = my_tls
[my_tls]
MinProtocol = TLSv1.3
[my_oids]
myOwnOid = 1.2.3.4.5.6.7
"""


class KeepsTheUsers(ProgramTest):
    def providers(self, **kwargs):
        """The names that `openssl list -providers` gives, sorted."""
        result = self.run_program("openssl", "list", "-providers", **kwargs)
        self.expect(result, 0)
        return sorted(line.strip() for line in result.stdout.splitlines()
                      if line.startswith("  ") and not line.startswith("   "))

    def test_openssls_own_file_gets_default_and_offload(self):
        self.assertEqual(self.providers(), ["default", "offload"])

    def test_a_device_gets_no_keys_but_its_own(self):
        """With a device inside, only keys that name it go there: not TLS's ephemeral ones."""
        for options, clause in (((), "?provider=offload"),
                                (("--inner", "legacy"), "?provider=default")):
            with self.subTest(options=options):
                result = self.run_program("sh", "-c", "cat $OPENSSL_CONF", options=options)
                self.expect(result, 0)
                self.assertIn(f"default_properties = {clause}\n", result.stdout)

    def test_no_file_gets_default_and_offload(self):
        for name in ("/no/such/file", "", "/dev/null"):
            with self.subTest(name=name):
                self.env["OPENSSL_CONF"] = name
                self.assertEqual(self.providers(), ["default", "offload"])

    def test_other_providers_stay(self):
        self.user_config(USERS)
        self.assertEqual(self.providers(), ["default", "legacy", "offload"])

    def test_who_left_the_default_provider_out_gets_none(self):
        self.user_config(USERS.replace("default = my_default", ""))
        self.assertEqual(self.providers(), ["legacy", "offload"])

    def test_a_relative_name_and_an_included_file_are_found(self):
        self.write("included.cnf", USERS)
        self.write("dollar $name #1.cnf", f".include {self.folder}/included.cnf\n")
        self.env["OPENSSL_CONF"] = "dollar $name #1.cnf"
        self.assertEqual(self.providers(), ["default", "legacy", "offload"])

    def test_an_own_offload_section_counts_where_no_option_does(self):
        self.user_config(USERS + "[my_providers]\n1.offload = mine\n[mine]\nthreads = none\n")
        self.assertEqual(self.providers(options=["--threads", "2"]),
                         ["default", "legacy", "offload"])
        self.expect(self.run_program("echo"), 125, "threads: 'none' is not a number")

    def test_object_names_stay(self):
        self.user_config(USERS)
        self.expect(self.run_program("openssl", "asn1parse", "-genstr", "OID:myOwnOid"), 0)

    def test_ssl_conf_stays(self):
        self.user_config(USERS)
        with self.s_server() as (_, port):
            self.assertEqual(handshake(port, ssl.TLSVersion.TLSv1_3), "TLSv1.3")
            with self.assertRaises(ssl.SSLError):
                handshake(port, ssl.TLSVersion.TLSv1_2)

    def test_default_properties_stay(self):
        digest = ("openssl", "dgst", "-sha256", "/dev/null")
        self.user_config(default_properties("fips=no"))
        self.expect(self.run_program(*digest), 0)
        self.user_config(default_properties("fips=yes"))
        self.assertNotEqual(self.run_program(*digest).returncode, 0)

    def test_it_can_be_run_under_itself(self):
        result = self.run_program(ASYNCJOB, "run", "--", "openssl", "list", "-providers")
        self.expect(result, 0)
        self.assertIn("offload", result.stdout)

    def test_another_choice_of_provider_is_refused(self):
        self.user_config(OTHER_CHOICE)
        self.expect(self.run_program("echo"), 125, "?provider=tpm2", "--inner")

    def test_a_broken_file_is_refused_with_its_line(self):
        self.user_config("openssl_conf = i\n[i\n")
        self.expect(self.run_program("echo"), 125, "user.cnf", "line 2")

    def test_a_pipe_is_refused(self):
        self.env["OPENSSL_CONF"] = os.path.join(self.folder, "pipe")
        os.mkfifo(self.env["OPENSSL_CONF"])
        self.expect(self.run_program("echo"), 125, "pipe")


class IsPrivate(ProgramTest):
    def folder_of_files(self):
        return os.path.join(self.folder, f"asyncjob-{os.geteuid()}")

    def config(self, *options):
        result = self.run_program("sh", "-c", "echo $OPENSSL_CONF", options=options)
        self.expect(result, 0)
        return result.stdout.strip()

    def test_one_file_for_equal_contents(self):
        first = self.config()
        self.assertEqual(os.path.dirname(first), self.folder_of_files())
        inode = os.stat(first).st_ino
        self.assertEqual(self.config(), first)
        self.assertEqual(os.stat(first).st_ino, inode)
        self.assertNotEqual(self.config("--threads", "2"), first)
        self.assertEqual(len(os.listdir(self.folder_of_files())), 2)

    def test_folder_and_file_are_the_users_alone(self):
        path = self.config()
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.folder_of_files()).st_mode), 0o700)

    def test_the_runtime_folder_comes_first(self):
        self.env["XDG_RUNTIME_DIR"] = os.path.join(self.folder, "runtime")
        os.mkdir(self.env["XDG_RUNTIME_DIR"], 0o700)
        self.assertTrue(self.config().startswith(self.env["XDG_RUNTIME_DIR"] + "/"))

    def test_a_file_that_was_changed_or_linked_is_replaced(self):
        path = self.config()
        with open(path, encoding="utf-8") as file:
            contents = file.read()
        elsewhere = self.write("elsewhere", "precious")
        with open(path, "w", encoding="utf-8") as file:
            file.write(contents.replace("activate = 1", "activate = 2"))
        self.assertEqual(self.config(), path)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), contents)
        os.unlink(path)
        os.symlink(elsewhere, path)
        self.assertEqual(self.config(), path)
        self.assertFalse(os.path.islink(path))
        with open(elsewhere, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")

    def test_a_link_for_a_folder_is_refused(self):
        os.mkdir(os.path.join(self.folder, "elsewhere"), 0o700)
        os.symlink("elsewhere", self.folder_of_files())
        self.expect(self.run_program("echo"), 125, self.folder_of_files(), "link")

    def test_a_folder_open_to_others_is_refused(self):
        os.mkdir(self.folder_of_files())
        os.chmod(self.folder_of_files(), 0o750)
        self.expect(self.run_program("echo"), 125, "others have access")

    def test_a_parent_that_lets_others_rename_is_refused(self):
        os.chmod(self.folder, 0o777)
        self.expect(self.run_program("echo"), 125, "sticky")


if __name__ == "__main__":
    unittest.main()
