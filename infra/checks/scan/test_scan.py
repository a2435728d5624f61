"""The scanner finds what a template lacks, and nothing in the app's own."""
import pathlib
import tempfile
import unittest

import scan

BOOTSTRAP = pathlib.Path(__file__).parents[2] / "manifest/tests/golden/bootstrap.yaml"


class Scan(unittest.TestCase):
    def test_a_public_bucket_is_found(self):
        template = BOOTSTRAP.read_text(encoding="utf-8")
        setting = "BlockPublicAcls: true"
        self.assertIn(setting, template)
        with tempfile.TemporaryDirectory() as folder:
            planted = pathlib.Path(folder, "planted.yaml")
            planted.write_text(template.replace(setting, "BlockPublicAcls: false", 1), encoding="utf-8")
            found, _ = scan.scan([planted])
        self.assertEqual(len(found), 1, found)
        self.assertIn("(CKV_AWS_53)", found[0])

    def test_a_file_that_is_no_template_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            planted = pathlib.Path(folder, "planted.yaml")
            planted.write_text("Resources: [", encoding="utf-8")
            with self.assertRaises(SystemExit) as error:
                found, _ = scan.scan([planted])
                raise SystemExit(found[0])
        self.assertIn("checkov", str(error.exception))


if __name__ == "__main__":
    unittest.main()
