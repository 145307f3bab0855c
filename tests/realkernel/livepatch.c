// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A live patch whose effect anyone can read: /proc/cmdline shows PATCH_TEXT.
 *
 * Cumulative, as the levels of a target are: .replace makes it take the place of whatever level is
 * loaded. Source: Documentation/livepatch/ in the kernel tree.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "patch.h" /* PATCH_TEXT, written by livepatch.py */

static int patched_cmdline_proc_show(struct seq_file *file, void *unused)
{
	seq_puts(file, PATCH_TEXT "\n");
	return 0;
}

static struct klp_func functions[] = {
	{ .old_name = "cmdline_proc_show", .new_func = patched_cmdline_proc_show },
	{ }
};

/* An object without a name is the kernel itself. */
static struct klp_object objects[] = { { .funcs = functions }, { } };

static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects, .replace = true };

static int __init patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_DESCRIPTION("ePortal's test patch");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
