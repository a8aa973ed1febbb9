# Everything a developer or a curious user runs. `make demo` and `make test` are all that a fresh machine needs.
PYTHON ?= python3.11
BPY    ?= 4.5.15
BACKEND = .venv/backend/bin/python
BLENDER = .venv/bpy-$(BPY)/bin/python
OUT     ?= build/avatars
TESTS   ?= tests/addon
# The add-on's tests that depend most on Blender's version; the rest runs on $(BPY) alone, unless asked for.
VERSIONS = avatar pose humanoid humanoid_panel foreign_files foreign_scene
export AVATAR_FORGE_BACKEND_PYTHON = $(CURDIR)/$(BACKEND)

.PHONY: demo avatar test browser test-unit test-addon test-addon-4.2.23 test-addon-5.3.0 test-records test-mcp verify-trellis verify-trellis2 verify-skintokens test-cluster env-cluster lint e2e gui viewer extension clean env-backend env-bpy env-servers env-mcp verify-unirig

demo: env-backend env-bpy  ## An avatar from the sample picture, in build/demo/
	$(BLENDER) avatar_addon/batch.py -- examples/companion.png --out build/demo --author "Avatar Forge"
	@echo
	@echo "Open build/demo/companion.html in a browser, or look at build/demo/companion.sheet.png; the avatar is build/demo/companion.vrm."

avatar: env-backend env-bpy  ## make avatar PICTURES="a.png b.png" OUT=exports
	$(BLENDER) avatar_addon/batch.py -- $(PICTURES) --out $(OUT)

test: lint test-unit test-addon test-records test-mcp  ## Everything that needs no window and no browser

browser:  ## Chromium and npm, where they are missing
	tests/e2e/install_browser

test-unit: env-backend
	$(BACKEND) -m pytest tests/unit

test-addon: env-backend env-bpy  ## make test-addon BPY=5.3.0 for another Blender
	$(BLENDER) -m pytest $(TESTS)

test-addon-4.2.23: env-backend env-bpy-4.2.23  ## On the oldest supported Blender; all of them: make test-addon BPY=4.2.23
	.venv/bpy-4.2.23/bin/python -m pytest $(addprefix tests/addon/test_,$(VERSIONS:=.py) extension.py version_before.py)

test-addon-5.3.0: env-backend env-bpy-5.3.0  ## On the newest; all of them: make test-addon BPY=5.3.0
	.venv/bpy-5.3.0/bin/python -m pytest $(addprefix tests/addon/test_,$(VERSIONS:=.py) look.py)

test-cluster: env-cluster  ## A real Ray cluster of two nodes on this machine (minutes; not in CI)
	PYTHONPATH=$(CURDIR) .venv/cluster/bin/python -m tests.cluster.run

test-records: env-backend env-servers env-bpy  ## Records and promotion against a real MLflow and real S3 servers
	$(BACKEND) -m pytest tests/records

test-mcp: env-backend env-bpy env-mcp env-servers  ## The socket through the real MCP servers, BlenderMCP's and ours, with the official client
	AVATAR_FORGE_BPY=$(BLENDER) .venv/mcp/bin/python -m pytest tests/mcp

verify-trellis: env-backend  ## make verify-trellis DIR=folder: the self-test of TRELLIS' networks on any folder of golden vectors
	$(BACKEND) -m backend.trellis.verify $(DIR)

verify-trellis2: env-backend  ## make verify-trellis2 DIR=folder: the self-test of TRELLIS.2 on any folder of golden vectors
	$(BACKEND) -m backend.trellis2.verify $(DIR)

lint: env-backend
	$(BACKEND) -m ruff check .
	$(BACKEND) -m ruff format --check .
	$(BACKEND) -m mypy
	$(BACKEND) tools/check_layers.py
	$(BACKEND) tools/ui_strings.py
	$(BACKEND) tools/lock_requirements.py --check
	$(BACKEND) tools/third_party.py --check

verify-unirig: env-backend  ## make verify-unirig DIR=folder of vectors: does UniRig compute here what it should?
	$(BACKEND) -m backend.unirig.verify $(DIR)

verify-skintokens: env-backend  ## make verify-skintokens DIR=folder of vectors: does SkinTokens compute here what it should?
	$(BACKEND) -m backend.skintokens.verify $(DIR)

e2e: env-backend env-bpy $(if $(filter browser,$(MAKECMDGOALS)),browser)  ## The avatars in a real browser with three-vrm, and Khronos' validator
	$(BACKEND) tests/e2e/run.py --blender $(BLENDER) --out build/e2e $(if $(FEW),--few)

gui: env-backend env-servers env-mcp env-cluster extension  ## The add-on in a real Blender window (needs GUI_BLENDER, see docs/development.md)
	$(BACKEND) -m tests.gui.run --out build/gui $(if $(ONLY),--only $(ONLY))

viewer: env-backend  ## The viewer's page, avatar_addon/viewer/page.html, from viewer/src (needs npm)
	$(BACKEND) tools/build_viewer.py

extension: env-bpy  ## The installable zip in dist/
	$(BLENDER) tools/build_extension.py

env-backend:
	@$(PYTHON) tools/make_env.py .venv/backend tests/requirements-backend.txt

env-servers:
	@$(PYTHON) tools/make_env.py .venv/servers tests/requirements-servers.txt

env-cluster:
	@$(PYTHON) tools/make_env.py .venv/cluster backend/requirements/cluster.txt

env-mcp:
	@$(PYTHON) tools/make_env.py .venv/mcp tests/requirements-mcp.txt
	@for release in 1.5.5 1.6.5 1.9.4 2.2.4; do $(PYTHON) tools/make_env.py .venv/mcp-$$release tests/requirements-mcp-$$release.txt || exit; done

env-bpy: env-bpy-$(BPY)

env-bpy-%:
	@$(PYTHON) tools/make_env.py .venv/bpy-$* tests/requirements-bpy-$*.txt

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
