// The avatar: read from bytes, measured, disposed of.
import * as THREE from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { VRMLoaderPlugin, VRMUtils } from '@pixiv/three-vrm';
import { VRMAnimationLoaderPlugin, VRMLookAtQuaternionProxy, createVRMAnimationClip } from '@pixiv/three-vrm-animation';
import { Soles } from './soles.js';

const MOST_DOWN = 74, LEAST_DOWN = 20; // degrees below the T-pose that an arm hangs

const loader = new GLTFLoader();
loader.register((parser) => new VRMLoaderPlugin(parser));
loader.register((parser) => new VRMAnimationLoaderPlugin(parser));

export async function readAvatar(bytes) {
  const gltf = await loader.parseAsync(bytes, '');
  const vrm = gltf.userData.vrm;
  if (!vrm) throw new Error('This is no VRM file; choose a file that ends in .vrm.');
  VRMUtils.rotateVRM0(vrm);
  vrm.scene.traverse((node) => { node.frustumCulled = false; if (node.isMesh) node.castShadow = true; });
  if (vrm.lookAt) {
    const proxy = new VRMLookAtQuaternionProxy(vrm.lookAt);
    proxy.name = 'lookAtQuaternionProxy';
    vrm.scene.add(proxy);
  }
  vrm.update(0);
  vrm.scene.updateMatrixWorld(true);
  return new Avatar(vrm, bytes.byteLength);
}

export async function readClip(bytes, avatar) {
  const gltf = await loader.parseAsync(bytes, '');
  const animation = gltf.userData.vrmAnimations?.[0];
  if (!animation) throw new Error('This file has no VRM animation; choose a file that ends in .vrma.');
  return createVRMAnimationClip(animation, avatar.vrm);
}

export class Avatar {
  constructor(vrm, size) {
    this.vrm = vrm;
    this.size = size;
    this.box = new THREE.Box3().setFromObject(vrm.scene, true);
    this.head = this.place('head') ?? this.box.getCenter(new THREE.Vector3());
    this.sign = vrm.meta?.metaVersion === '0' ? -1 : 1; // VRM 0.x bones face the other way
    this.expressions = vrm.expressionManager?.expressions.map((each) => each.expressionName) ?? [];
    this.armsDown = this.measureArms();
    this.soles = new Soles(vrm);
  }

  get name() { return this.vrm.meta?.name ?? this.vrm.meta?.title ?? ''; }

  bone(name) { return this.vrm.humanoid.getNormalizedBoneNode(name); }

  place(name) { return this.vrm.humanoid.getRawBoneNode(name)?.getWorldPosition(new THREE.Vector3()); }

  figures() {
    let triangles = 0, draws = 0;
    this.vrm.scene.traverse((node) => {
      if (!node.isMesh) return;
      triangles += (node.geometry.index ?? node.geometry.attributes.position).count / 3;
      draws += Array.isArray(node.material) ? node.material.length : 1;
    });
    return {
      triangles: Math.round(triangles), draws, size: this.size, height: this.box.max.y - this.box.min.y,
      bones: Object.keys(this.vrm.humanoid.humanBones).length, expressions: this.expressions.length,
      springs: this.vrm.springBoneManager?.joints.size ?? 0, version: this.sign < 0 ? '0.x' : '1.0',
    };
  }

  // Degrees that the arms can hang down before they would enter the body: its outline from the front, against points on the arm.
  measureArms() {
    const shoulder = this.place('leftUpperArm'), hand = this.place('leftHand'), hips = this.place('hips');
    if (!shoulder || !hand || !hips) return MOST_DOWN;
    const bins = 48, low = this.box.min.y, step = (shoulder.y - low) / bins;
    const width = new Float32Array(bins), tips = [], thick = [];
    const arms = this.below(['leftUpperArm', 'rightUpperArm', 'leftShoulder', 'rightShoulder']), head = this.below(['head']);
    const side = Math.sign(shoulder.x - hips.x) || 1, reach = Math.abs(hand.x - shoulder.x), at = new THREE.Vector3();
    this.vrm.scene.traverse((mesh) => {
      if (!mesh.isSkinnedMesh) return;
      const { skinIndex, skinWeight, position } = mesh.geometry.attributes;
      for (let k = 0; k < position.count; k += 3) {
        let most = 0;
        for (let j = 1; j < 4; j++) if (skinWeight.getComponent(k, j) > skinWeight.getComponent(k, most)) most = j;
        const bone = mesh.skeleton.bones[skinIndex.getComponent(k, most)];
        if (head.has(bone)) continue;
        mesh.getVertexPosition(k, at).applyMatrix4(mesh.matrixWorld);
        const out = side * (at.x - hips.x);
        if (out <= 0) continue;
        if (arms.has(bone)) {
          if (side * (at.x - shoulder.x) > 0.4 * reach) { thick.push(shoulder.y - at.y); tips.push(side * (at.x - shoulder.x)); }
        } else if (Math.abs(at.z - hand.z) < 0.12 * (shoulder.y - low)) {
          const bin = Math.floor((at.y - low) / step);
          if (bin >= 0 && bin < bins) width[bin] = Math.max(width[bin], out);
        }
      }
    });
    const tip = Math.max(reach, ...tips.slice(0, 20000)), radius = Math.max(0, thick.sort((a, b) => a - b)[Math.floor(thick.length * 0.9)] ?? 0);
    const from = side * (shoulder.x - hips.x);
    for (let degrees = MOST_DOWN; degrees > LEAST_DOWN; degrees -= 2) {
      const angle = THREE.MathUtils.degToRad(degrees);
      const free = Array.from({ length: 12 }, (_, k) => (0.35 + (0.65 * k) / 11) * tip).every((along) => {
        const bin = Math.floor((shoulder.y - along * Math.sin(angle) - low) / step);
        return from + along * Math.cos(angle) - radius * Math.sin(angle) >= (width[Math.min(Math.max(bin, 0), bins - 1)] ?? 0);
      });
      if (free) return degrees;
    }
    return LEAST_DOWN;
  }

  below(names) {
    const found = new Set();
    for (const name of names) this.vrm.humanoid.getRawBoneNode(name)?.traverse((node) => found.add(node));
    return found;
  }

  dispose() {
    this.vrm.scene.removeFromParent();
    VRMUtils.deepDispose(this.vrm.scene);
  }
}
