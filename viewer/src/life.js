// What makes an avatar look alive: it breathes, blinks, looks at the pointer, speaks; or plays a clip.
import * as THREE from 'three';
import { valueAt, length, VISEMES } from './speech.js';

const CROSS = 0.35; // seconds from one motion to the next
const BLINK = 0.16; // seconds
const BLINKS = ['blink', 'blinkLeft', 'blinkRight'];
const wave = (time, seconds, phase = 0) => Math.sin((2 * Math.PI * time) / seconds + phase);

export class Life {
  constructor(avatar, camera) {
    this.avatar = avatar;
    this.camera = camera;
    this.time = 0;
    this.idle = true;
    this.follow = true;
    this.blinks = true;
    this.manual = {}; // expression -> weight of its slider
    this.nextBlink = 1.2;
    this.pointer = null; // {x, y} in the window, -1 to 1
    this.target = new THREE.Object3D();
    this.target.position.copy(avatar.head).add(new THREE.Vector3(0, 0, 2));
    this.turn = { yaw: 0, pitch: 0 };
    this.mixer = new THREE.AnimationMixer(avatar.vrm.scene);
    this.share = 0; // of the clip; the rest is the idle pose
    if (avatar.vrm.lookAt) avatar.vrm.lookAt.target = this.target;
  }

  play(clip, name) {
    this.stopClip();
    this.action = this.mixer.clipAction(clip).reset().play();
    Object.assign(this, { clip, clipName: name, ending: false });
    this.clipHas = {
      mouth: clip.tracks.some((each) => /\.weight$/.test(each.name)),
      gaze: clip.tracks.some((each) => /^lookAt/i.test(each.name)),
    };
    this.share = 0;
  }

  stopClip() {
    if (!this.action) return;
    this.mixer.stopAllAction();
    this.mixer.uncacheClip(this.clip);
    this.avatar.vrm.humanoid.resetNormalizedPose();
    Object.assign(this, { action: null, clip: null, clipName: '' });
    if (this.avatar.vrm.lookAt) this.avatar.vrm.lookAt.target = this.target;
  }

  say(keys, clock = null) {
    this.speech = { keys, seconds: length(keys), started: this.time, clock };
    return this.speech.seconds;
  }

  hush() { this.speech = null; }

  get speaking() { return !!this.speech || !!this.listener; }

  update(delta) {
    const { vrm } = this.avatar;
    this.time += delta;
    if (this.action) this.mixer.update(delta);
    else this.pose();
    this.face(delta);
    this.look(delta);
    vrm.update(delta);
    this.stand();
  }

  // A clip's steps may lie below the ground for these legs and shoes; it may jump, so nothing is lowered.
  stand() {
    const { vrm, soles } = this.avatar;
    vrm.scene.position.y = 0;
    if (!this.action) return;
    vrm.scene.updateMatrixWorld(true);
    vrm.scene.position.y = Math.max(0, soles.ground - soles.height() || 0);
  }

  // Breathing, a slow sway, arms at rest.
  pose() {
    const { avatar, time: t } = this, s = avatar.sign, on = this.idle ? 1 : 0;
    avatar.vrm.humanoid.resetNormalizedPose();
    const breath = on * wave(t, 3.8), sway = on * wave(t, 7.3);
    const turn = (name, x, y, z) => avatar.bone(name)?.rotation.set(s * x, y, s * z);
    const down = THREE.MathUtils.degToRad(avatar.armsDown) * (this.tPose ? 0 : 1);
    turn('spine', 0.012 * breath, 0.012 * sway, 0.008 * sway);
    turn('chest', -0.018 * breath, 0.01 * on * wave(t, 9.1), 0.004 * sway);
    turn('upperChest', -0.012 * breath, 0, 0);
    for (const [side, m] of [['left', 1], ['right', -1]]) {
      turn(`${side}Shoulder`, 0, 0, m * 0.012 * breath);
      turn(`${side}UpperArm`, 0.02 * on * wave(t, 5.3, m), m * 0.04, m * (-down - 0.012 * breath));
      turn(`${side}LowerArm`, 0, m * (this.tPose ? 0 : -0.2 - 0.02 * on * wave(t, 4.7, m)), 0);
      turn(`${side}Hand`, 0, 0, m * (this.tPose ? 0 : 0.04));
      for (const finger of this.tPose ? [] : ['Index', 'Middle', 'Ring', 'Little']) {
        for (const part of ['Proximal', 'Intermediate', 'Distal']) turn(`${side}${finger}${part}`, 0, 0, m * -0.22);
      }
    }
    turn('neck', this.turn.pitch * 0.4, this.turn.yaw * 0.4, -0.006 * sway);
    turn('head', this.turn.pitch * 0.6 + 0.01 * on * wave(t, 4.3), this.turn.yaw * 0.6, 0.012 * on * wave(t, 8.2));
  }

  face(delta) {
    const manager = this.avatar.vrm.expressionManager;
    if (!manager) return;
    const weights = { ...this.manual };
    const add = (name, value) => { weights[name] = Math.max(weights[name] ?? 0, value); };
    if (this.blinks && !this.clipHas?.blink && !BLINKS.some((name) => this.manual[name] > 0)) add('blink', this.lids());
    if (this.speech) {
      const at = this.speech.clock ? this.speech.clock() : this.time - this.speech.started;
      if (at > this.speech.seconds + 0.1) this.hush();
      else for (const name of VISEMES) if (this.speech.keys[name]) add(name, valueAt(this.speech.keys[name], at));
    }
    if (this.listener) for (const [name, value] of Object.entries(this.listener.now(delta))) add(name, value);
    const driven = this.action && this.clipHas.mouth;
    for (const name of this.avatar.expressions) {
      if (name.startsWith('look')) { if (this.manual[name]) manager.setValue(name, this.manual[name]); continue; }
      if (!driven) manager.setValue(name, weights[name] ?? 0);
      else if (weights[name] > 0) manager.setValue(name, weights[name]);
    }
  }

  lids() {
    const since = this.time - this.nextBlink;
    if (since < 0) return 0;
    if (since > BLINK) { this.nextBlink = this.time + (Math.random() < 0.15 ? 0.12 : 1.8 + 3.5 * Math.random()); return 0; }
    return Math.sin((Math.PI * since) / BLINK) ** 0.7;
  }

  // The eyes go to the pointer at once, the head a little and later; nobody looks behind.
  look(delta) {
    const { vrm } = this.avatar, head = this.avatar.place('head') ?? this.avatar.head;
    const ahead = head.clone().add(new THREE.Vector3(0, 0, 2));
    let aim = ahead;
    if (this.follow && this.pointer) {
      const ray = new THREE.Raycaster();
      ray.setFromCamera(this.pointer, this.camera);
      aim = ray.ray.at(0.72 * this.camera.position.distanceTo(head), new THREE.Vector3());
      const way = aim.clone().sub(head);
      if (Math.atan2(Math.hypot(way.x, way.y), way.z) > 1.3) aim = ahead;
    }
    this.target.position.lerp(aim, 1 - Math.exp(-delta / 0.05));
    const way = this.target.position.clone().sub(head), ease = 1 - Math.exp(-delta / 0.35);
    const bound = (value, most) => Math.min(Math.max(value, -most), most);
    this.turn.yaw += (bound(Math.atan2(way.x, way.z), 0.7) * 0.45 - this.turn.yaw) * ease;
    this.turn.pitch += (bound(-Math.atan2(way.y, Math.hypot(way.x, way.z)), 0.5) * 0.35 - this.turn.pitch) * ease;
    if (vrm.lookAt) vrm.lookAt.autoUpdate = !Object.entries(this.manual).some(([name, value]) => name.startsWith('look') && value > 0);
    if (vrm.lookAt) vrm.lookAt.target = this.action && this.clipHas.gaze ? null : this.target;
  }
}
